//! Writes a PNG row by row.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use png::{BitDepth, ColorType, Compression, Encoder, StreamWriter};

use crate::files::WholeFile;

/// Bytes of a PNG chunk.
const CHUNK: usize = 1 << 16;

pub(super) struct PngRows {
    stream: StreamWriter<'static, Shared>,
    file: Shared,
}

impl PngRows {
    pub(super) fn new(file: WholeFile, width: u32, height: u32) -> io::Result<Self> {
        let file = Shared(Arc::new(Mutex::new(Output { file, failure: None })));
        let mut encoder = Encoder::new(file.clone(), width, height);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::Fast);
        let stream = encoder.write_header()?.into_stream_writer_with_size(CHUNK)?;
        Ok(Self { stream, file })
    }

    /// Writes the next row.
    pub(super) fn write(&mut self, rgb: &[u8]) -> io::Result<()> {
        self.stream.write_all(rgb)?;
        self.file.check()
    }

    /// The complete file, after the last row.
    pub(super) fn finish(self) -> io::Result<WholeFile> {
        let Self { stream, file } = self;
        stream.finish()?;
        file.check()?;
        let output = Arc::into_inner(file.0).ok_or_else(|| io::Error::other("the encoder still holds the file"))?;
        Ok(output.into_inner().unwrap_or_else(PoisonError::into_inner).file)
    }
}

/// The file of an encoder that does not give it back.
#[derive(Clone)]
struct Shared(Arc<Mutex<Output>>);

struct Output {
    file: WholeFile,
    failure: Option<io::Error>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Output> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first error since the last check.
    fn check(&self) -> io::Result<()> {
        self.lock().failure.take().map_or(Ok(()), Err)
    }
}

/// The encoder writes its last bytes when it is dropped, where it cannot report errors, and panics at an error in some
/// places. So errors are kept for [`Shared::check`].
impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut output = self.lock();
        if output.failure.is_none() {
            output.failure = output.file.write_all(bytes).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
