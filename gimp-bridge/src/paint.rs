//! Painting on a thread of its own, while the main thread reads labels and stores pixels: GIMP is called from there only.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use semsynth::label::{LabelBands, LabelSource};
use semsynth::sink::RowSink;
use semsynth::{Border, Control, Device, Error, PreparedModel, Rect as Area, Request, Result};

use crate::gimp::{Buffer, Format, Rect, progress};
use crate::labels::{Labels, STRIP};
use crate::words::{said, steps};

/// Memory in bytes that a picture takes; one that needs more is painted in smaller parts.
const MEMORY: usize = 1 << 30;

/// What the painter asks of the main thread.
enum Message {
    /// The ids of up to [`STRIP`] rows from row `y` on, a multiple of that.
    Read {
        y: usize,
        reply: SyncSender<Result<Vec<u16>>>,
    },
    /// Rows of the picture, from row `y` on.
    Write {
        y: usize,
        rgb: Vec<u8>,
    },
    Progress(f32),
}

/// The device that the filter runs on.
///
/// # Errors
///
/// If there is none.
pub(crate) fn device() -> Result<Device, String> {
    let device = if cfg!(feature = "gpu") { Device::best() } else { Ok(Device::cpu()) };
    device.map_err(|error| said(c"There is nothing to paint with: {}.", &[&error]))
}

/// Paints a picture into a buffer of the program's own.
///
/// # Errors
///
/// Errors of the synthesis.
pub(crate) fn paint(
    prepared: &PreparedModel,
    labels: &Labels,
    bands: &LabelBands,
    request: &Request,
    started: Instant,
) -> Result<Buffer> {
    let [width, height] = labels.size();
    let format = Format::new(c"R'G'B' u8");
    let pixels = Buffer::new(width as i32, height as i32, format);
    let area = Area { x: 0, y: 0, width: width as u32, height: height as u32 };
    let mut result = Ok(());
    let mut eta = Eta { started, said: started, moved: false };
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        let painter = scope.spawn(move || synthesize(prepared, [width, height], area, request, &sender));
        result = serve(&receiver, labels, bands, &pixels, format, &mut eta);
        // An error here ends the painter, whose messages are then refused.
        drop(receiver);
        let painted = painter.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result = std::mem::replace(&mut result, Ok(())).and(painted);
    });
    result.map(|()| pixels)
}

/// Serves the painter until it is done.
fn serve(
    messages: &Receiver<Message>,
    labels: &Labels,
    bands: &LabelBands,
    pixels: &Buffer,
    format: Format,
    eta: &mut Eta,
) -> Result<()> {
    let [width, _] = labels.size();
    for message in messages {
        match message {
            Message::Read { y, reply } => {
                // The painter may have ended.
                let _ = reply.send(labels.ids(bands, y));
            }
            Message::Write { y, rgb } => {
                let rows = (rgb.len() / (3 * width)) as i32;
                let rect = Rect { x: 0, y: y as i32, w: width as i32, h: rows };
                pixels.set(rect, format, &rgb).map_err(Error::Device)?;
            }
            Message::Progress(done) => {
                progress::set(f64::from(done));
                eta.say(f64::from(done), labels.size());
            }
        }
    }
    Ok(())
}

/// Says about once a second how long it takes.
struct Eta {
    started: Instant,
    said: Instant,
    /// Whether the progress bar has moved.
    moved: bool,
}

impl Eta {
    fn say(&mut self, done: f64, [width, height]: [usize; 2]) {
        if done > 0.0 && !self.moved {
            self.moved = true;
            trace("first progress", self.started);
        }
        let spent = self.started.elapsed();
        if self.said.elapsed() < Duration::from_secs(1) || spent < Duration::from_secs(2) || done <= 0.01 {
            return;
        }
        self.said = Instant::now();
        let left = spent.as_secs_f64() * (1.0 - done) / done;
        progress::say(&said(steps::TIME_LEFT, &[&width, &height, &duration(left)]));
    }
}

/// Writes a time to standard error if the variable `SEMSYNTH_TRACE` is set, for measurements.
pub(crate) fn trace(what: &str, started: Instant) {
    if std::env::var_os("SEMSYNTH_TRACE").is_some() {
        eprintln!("semsynth-trace: {what} after {:.3} s", started.elapsed().as_secs_f64());
    }
}

/// Seconds in words.
fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

/// Runs on the painter's thread.
fn synthesize(
    prepared: &PreparedModel,
    [width, height]: [usize; 2],
    area: Area,
    request: &Request,
    sender: &Sender<Message>,
) -> Result<()> {
    let mut synth = prepared.synthesizer();
    let mut report = |done| {
        let _ = sender.send(Message::Progress(done));
    };
    let mut control = Control::new().progress(&mut report).memory_goal(MEMORY);
    let mut strips = Strips { sender: sender.clone(), width, height, first: 0, ids: Vec::new() };
    let mut rows = Rows { sender: sender.clone(), first: 0, next: 0, rgb: Vec::new() };
    synth.synthesize(&mut strips, area, request, &mut rows, &mut control)?;
    rows.flush()
}

/// Labels that the main thread reads.
struct Strips {
    sender: Sender<Message>,
    width: usize,
    height: usize,
    /// The first row of `ids`.
    first: usize,
    ids: Vec<u16>,
}

impl LabelSource for Strips {
    fn read(&mut self, area: Area, ids: &mut [u16]) -> Result<()> {
        let outside = || Error::Argument(format!("an area of {area} is not inside the layer"));
        let (x, y) = (usize::try_from(area.x), usize::try_from(area.y));
        let (Ok(x), Ok(y)) = (x, y) else { return Err(outside()) };
        let columns = area.width as usize;
        if x + columns > self.width || y + area.height as usize > self.height {
            return Err(outside());
        }
        for (y, out) in (y..).zip(ids.chunks_exact_mut(columns.max(1))) {
            if y < self.first || y >= self.first + self.ids.len() / self.width {
                let (reply, answer) = sync_channel(1);
                let first = y - y % STRIP as usize;
                self.sender.send(Message::Read { y: first, reply }).map_err(|_| Error::Cancelled)?;
                (self.first, self.ids) = (first, answer.recv().map_err(|_| Error::Cancelled)??);
            }
            out.copy_from_slice(&self.ids[(y - self.first) * self.width + x..][..columns]);
        }
        Ok(())
    }
}

/// Rows of the picture, which the main thread stores a strip at a time.
struct Rows {
    sender: Sender<Message>,
    /// Of `rgb`.
    first: usize,
    next: usize,
    rgb: Vec<u8>,
}

impl Rows {
    fn flush(&mut self) -> Result<()> {
        if self.rgb.is_empty() {
            return Ok(());
        }
        let message = Message::Write { y: self.first, rgb: std::mem::take(&mut self.rgb) };
        self.first = self.next;
        self.sender.send(message).map_err(|_| Error::Cancelled)
    }
}

impl RowSink for Rows {
    fn write(&mut self, y: usize, rgb: &[u8]) -> Result<()> {
        if y != self.next {
            return Err(Error::Argument(format!("row {y} comes where row {} is due", self.next)));
        }
        self.rgb.extend_from_slice(rgb);
        self.next += 1;
        if self.next - self.first == STRIP as usize { self.flush() } else { Ok(()) }
    }
}

/// The borders of a picture that repeats itself or not.
pub(crate) fn borders(request: Request, wrap_x: bool, wrap_y: bool) -> Request {
    let border = |wraps| if wraps { Border::Wrap } else { Border::Zero };
    request.borders(border(wrap_y), border(wrap_x))
}

#[cfg(test)]
mod tests {
    use semsynth::LabelMap;

    use super::*;

    /// The painter gives the same rows as the library, and asks for each strip of labels once.
    #[test]
    fn strips_give_the_librarys_picture() {
        let model = semsynth::Model::builtin("facades").unwrap();
        let prepared = PreparedModel::new(&model, &Device::cpu()).unwrap();
        let (width, height) = (70, 130);
        let ids: Vec<u16> = (0..width * height).map(|i| ((i % width) / 20 + (i / width) / 30) as u16).collect();
        let map = LabelMap::new(width, height, ids.clone()).unwrap();
        let request = Request::new();
        let expected = prepared.synthesizer().run(&map, &request).unwrap();

        let (sender, receiver) = channel();
        let area = Area { x: 0, y: 0, width: width as u32, height: height as u32 };
        let mut out = vec![0; 3 * width * height];
        let mut reads = Vec::new();
        std::thread::scope(|scope| {
            let painter = scope.spawn(|| synthesize(&prepared, [width, height], area, &request, &{ sender }));
            for message in receiver {
                match message {
                    Message::Read { y, reply } => {
                        reads.push(y);
                        let rows = (STRIP as usize).min(height - y);
                        reply.send(Ok(ids[y * width..][..rows * width].to_vec())).unwrap();
                    }
                    Message::Write { y, rgb } => out[3 * width * y..][..rgb.len()].copy_from_slice(&rgb),
                    Message::Progress(_) => {}
                }
            }
            painter.join().unwrap().unwrap();
        });
        assert_eq!(out, expected.as_bytes());
        assert_eq!(reads, [0, 64, 128]);
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(0.2), "1 s");
        assert_eq!(duration(61.0), "1 min 1 s");
    }
}
