//! Event files of `TensorBoard`: framed records (`TFRecord`), each an `Event` message of Protocol Buffers with scalars.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::Record;
use crate::error::{Error, Result};
use crate::files::write_whole;

/// An event file for `TensorBoard`, with a scalar `loss/NAME` for each value of each record.
///
/// It is made of the records of a [`TrainLog`](super::TrainLog) and continued with its new ones, so that after a resumed run
/// it holds what the log holds: no step twice, none that was lost.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    path: PathBuf,
    /// Seconds from 1970 to the start of the run, as if it had never been interrupted.
    started: f64,
}

impl EventFile {
    /// The path of the event file of a run in `folder`: `TensorBoard` knows event files by `tfevents` in their names.
    pub fn path_in(folder: &Path) -> PathBuf {
        folder.join("events.out.tfevents.semsynth")
    }

    /// Writes a file of these records, in place of what is there, and keeps it open.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written.
    pub fn create(path: impl AsRef<Path>, records: &[Record]) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let started = now - records.last().map_or(0.0, |record| record.seconds);
        let events = records.iter().map(|record| Event::of(record, started));
        let content: Vec<u8> =
            iter::once(Event::version(started)).chain(events).flat_map(|event| event.framed()).collect();
        write_whole(&path, |out| out.write_all(&content))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { file, path, started })
    }

    /// Appends the scalars of a record.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let event = Event::of(record, self.started).framed();
        self.file.write_all(&event).and_then(|()| self.file.flush()).map_err(Error::io(&self.path))
    }
}

/// A part of `TensorBoard`'s `event.proto`.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds from 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// A part of its `summary.proto`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// A `Summary.Value` of one number.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

impl Event {
    /// The first event of a file names the version of the format.
    fn version(started: f64) -> Self {
        Self { wall_time: started, step: 0, file_version: Some("brain.Event:2".into()), summary: None }
    }

    fn of(record: &Record, started: f64) -> Self {
        let scalar =
            |(name, &value): (&String, &f32)| Scalar { tag: format!("loss/{name}"), simple_value: Some(value) };
        Self {
            wall_time: started + record.seconds,
            step: i64::try_from(record.step).unwrap_or(i64::MAX),
            file_version: None,
            summary: Some(Summary { value: record.values.iter().map(scalar).collect() }),
        }
    }

    /// The event as a record of the file: its length and content, each followed by a masked checksum.
    fn framed(&self) -> Vec<u8> {
        let content = self.encode_to_vec();
        let length = (content.len() as u64).to_le_bytes();
        [&length, &masked(&length).to_le_bytes() as &[u8], &content, &masked(&content).to_le_bytes()].concat()
    }
}

/// The checksum of `TFRecord`: a CRC32C that is rotated and shifted, so that checksums of data with checksums stay random.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as fields: number, then a number or the bytes.
    fn fields(mut data: &[u8]) -> Vec<(u8, Vec<u8>)> {
        fn number(data: &mut &[u8]) -> u64 {
            let end = data.iter().position(|byte| byte & 0x80 == 0).unwrap();
            let (this, rest) = data.split_at(end + 1);
            *data = rest;
            this.iter().rev().fold(0, |sum, byte| sum * 128 + u64::from(byte & 0x7f))
        }
        let mut found = Vec::new();
        while !data.is_empty() {
            let key = number(&mut data);
            let value = match key & 7 {
                0 => number(&mut data).to_le_bytes().to_vec(),
                kind => {
                    let length = match kind {
                        1 => 8,
                        5 => 4,
                        2 => number(&mut data) as usize,
                        other => panic!("wire type {other}"),
                    };
                    let (value, rest) = data.split_at(length);
                    data = rest;
                    value.to_vec()
                }
            };
            found.push((u8::try_from(key >> 3).unwrap(), value));
        }
        found
    }

    /// Steps and scalars of a file. Checksums are found by a table, as most programs do, and unmasked.
    fn parsed(path: &Path) -> Vec<(u64, Vec<(String, f32)>)> {
        let table: Vec<u32> = (0..256u32)
            .map(|byte| (0..8).fold(byte, |sum, _| if sum % 2 == 1 { (sum / 2) ^ 0x82f6_3b78 } else { sum / 2 }))
            .collect();
        let check = |data: &[u8], sum: &[u8]| {
            let crc = !data.iter().fold(u32::MAX, |sum, byte| table[(sum as u8 ^ byte) as usize] ^ (sum >> 8));
            let stored = u32::from_le_bytes(sum.try_into().unwrap()).wrapping_sub(0xa282_ead8);
            assert_eq!(stored.rotate_left(15), crc);
        };
        let file = std::fs::read(path).unwrap();
        let (mut rest, mut events) = (file.as_slice(), Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            check(&rest[..8], &rest[8..12]);
            check(&rest[12..12 + length], &rest[12 + length..16 + length]);
            events.push(fields(&rest[12..12 + length]));
            rest = &rest[16 + length..];
        }
        assert_eq!(events.remove(0)[1], (3, b"brain.Event:2".to_vec()));
        let event = |event: Vec<(u8, Vec<u8>)>| {
            assert_eq!(event.iter().map(|(field, _)| *field).collect::<Vec<_>>(), [1, 2, 5]);
            let scalar = |(_, value): (u8, Vec<u8>)| {
                let value = fields(&value);
                let name = String::from_utf8(value[0].1.clone()).unwrap();
                (name, f32::from_le_bytes(value[1].1.as_slice().try_into().unwrap()))
            };
            let step = u64::from_le_bytes(event[1].1.as_slice().try_into().unwrap());
            (step, fields(&event[2].1).into_iter().map(scalar).collect())
        };
        events.into_iter().map(event).collect()
    }

    fn record(step: u64) -> Record {
        let values = [("d_fake".to_owned(), 0.25), ("gan".to_owned(), step as f32 * -1.5)];
        Record { step, seconds: step as f64 * 0.5, values: values.into() }
    }

    #[test]
    fn a_resumed_file_holds_each_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = EventFile::path_in(folder.path());
        let mut file = EventFile::create(&path, &[]).unwrap();
        assert_eq!(parsed(&path), []);
        for step in [1, 300, 70_000] {
            file.append(&record(step)).unwrap();
        }
        // Back to a checkpoint after step 300.
        let mut file = EventFile::create(&path, &[record(1), record(300)]).unwrap();
        file.append(&record(400)).unwrap();
        let expected = [1, 300, 400].map(|step| {
            let value = step as f32 * -1.5;
            (step, vec![("loss/d_fake".to_owned(), 0.25), ("loss/gan".to_owned(), value)])
        });
        assert_eq!(parsed(&path), expected);
    }
}
