//! Building JSON without a tree: each call appends to one text. The first error is kept, and names the key at which it
//! happened. After an error, the text is not available until the builder is cleared.

mod keys;
#[cfg(test)]
mod tests;
mod text;

use std::io::Write;

use super::{strict_value, MAX_DEPTH};
use crate::error::{Error, Result, Status};
use crate::model::nonfinite::Nonfinite;
use keys::{Key, Keys};
use text::{escape_into, escaped_len, write_shortest, write_text};

/// An open container.
#[derive(Clone, Copy)]
enum Level {
    Object {
        id: u32,
        empty: bool,
    },
    Array {
        empty: bool,
    },
    /// `{"measurepoints":{` and its members. Its end writes the time.
    Measurepoints {
        id: u32,
        empty: bool,
        time_ms: Option<i64>,
    },
    /// `"id":{"value":` and one value. Its end writes the quality. `from` is where the measure point begins in the
    /// text.
    Point {
        quality: Option<i32>,
        from: usize,
        key: Key,
        was_empty: bool,
        filled: bool,
        left_out: bool,
    },
}

#[derive(Default)]
pub struct Builder {
    text: Vec<u8>,
    open: Vec<Level>,
    error: Option<Error>,
    nonfinite: Nonfinite,
    left_out: u32,
    /// How many objects were ever opened. Each one has a number.
    objects: u32,
    keys: Keys,
}

impl Builder {
    /// Empties the builder. It keeps its memory and the choice for numbers that are not finite.
    pub fn clear(&mut self) {
        self.text.clear();
        self.open.clear();
        self.keys.clear();
        self.error = None;
        self.left_out = 0;
        self.objects = 0;
    }

    pub fn set_nonfinite(&mut self, nonfinite: Nonfinite) {
        self.nonfinite = nonfinite;
    }

    /// How many numbers were left out since the builder was cleared.
    pub fn left_out(&self) -> u32 {
        self.left_out
    }

    /// The id of the measure point that is open, as it stands in the text.
    pub fn point(&self) -> Option<&str> {
        let Some(Level::Point { key, .. }) = self.open.last() else { return None };
        self.keys.text(&self.text, *key)
    }

    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// The whole text, or the first error.
    pub fn result(&self) -> Result<&str> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if !self.open.is_empty() {
            let count = self.open.len();
            return Err(Error::new(
                Status::ENOS_ERR_STATE,
                format!("the JSON is not complete: {count} levels are open"),
            ));
        }
        if self.text.is_empty() {
            return Err(Error::new(Status::ENOS_ERR_STATE, "the JSON is not complete: nothing was put into it"));
        }
        std::str::from_utf8(&self.text).map_err(|_| Error::new(Status::ENOS_ERR_PANIC, "the JSON is not UTF-8"))
    }

    /// Records an error. Only the first one is kept.
    pub fn fail(&mut self, key: Option<&str>, status: Status, words: impl std::fmt::Display) {
        if self.error.is_none() {
            let place = key.map_or_else(|| format!("the value at byte {}", self.text.len()), |key| format!("{key:?}"));
            self.error = Some(Error::new(status, format!("{place}: {words}")));
        }
    }

    pub fn begin_object(&mut self, key: Option<&str>) {
        self.begin(key, |builder| {
            builder.objects += 1;
            builder.text.push(b'{');
            Level::Object { id: builder.objects, empty: true }
        });
    }

    pub fn begin_array(&mut self, key: Option<&str>) {
        self.begin(key, |builder| {
            builder.text.push(b'[');
            Level::Array { empty: true }
        });
    }

    /// Begins `{"measurepoints":{`. One end closes both objects, and writes the time between them.
    pub fn begin_measurepoints(&mut self, key: Option<&str>, time_ms: Option<i64>) {
        self.begin(key, |builder| {
            builder.objects += 1;
            builder.text.extend_from_slice(b"{\"measurepoints\":{");
            Level::Measurepoints { id: builder.objects, empty: true, time_ms }
        });
    }

    /// Begins `"id":{"value":`. One value without a key follows, then an end, which writes the quality.
    pub fn begin_point(&mut self, id: &str, quality: Option<i32>) {
        let (from, key, was_empty) = match self.open.last() {
            Some(Level::Measurepoints { id: object, empty, .. }) => (self.text.len(), Key::new(*object, id), *empty),
            _ => return self.fail(Some(id), Status::ENOS_ERR_STATE, "a point needs begin_measurepoints around it"),
        };
        self.begin(Some(id), |builder| {
            builder.text.extend_from_slice(b"{\"value\":");
            Level::Point { quality, from, key, was_empty, filled: false, left_out: false }
        });
    }

    /// Closes the innermost open container.
    pub fn end(&mut self) {
        if self.error.is_some() {
            return;
        }
        match self.open.last().copied() {
            None => self.fail(None, Status::ENOS_ERR_STATE, "there is nothing to end"),
            Some(Level::Object { .. }) => self.close(|out| out.extend_from_slice(b"}")),
            Some(Level::Array { .. }) => self.close(|out| out.extend_from_slice(b"]")),
            Some(Level::Measurepoints { time_ms: None, .. }) => self.close(|out| out.extend_from_slice(b"}}")),
            Some(Level::Measurepoints { time_ms: Some(time_ms), .. }) => {
                self.close(|out| drop(write!(out, "}},\"time\":{time_ms}}}")));
            }
            Some(Level::Point { left_out: true, from, key, was_empty, .. }) => self.take_out(from, key, was_empty),
            Some(Level::Point { filled: false, .. }) => {
                self.fail(None, Status::ENOS_ERR_STATE, "a point has no value");
            }
            Some(Level::Point { quality: None, .. }) => self.close(|out| out.extend_from_slice(b"}")),
            Some(Level::Point { quality: Some(quality), .. }) => {
                self.close(|out| drop(write!(out, ",\"quality\":{quality}}}")));
            }
        }
    }

    pub fn text(&mut self, key: Option<&str>, text: &str) {
        self.put(key, escaped_len(text), |out| write_text(out, text));
    }

    /// Bytes that are not UTF-8 are replaced by U+FFFD.
    pub fn text_lossy(&mut self, key: Option<&str>, bytes: &[u8]) {
        let len = |chunk: std::str::Utf8Chunk| escaped_len(chunk.valid()) + '\u{FFFD}'.len_utf8();
        self.put(key, bytes.utf8_chunks().map(len).sum::<usize>() + 2, |out| {
            out.push(b'"');
            for chunk in bytes.utf8_chunks() {
                escape_into(out, chunk.valid());
                if !chunk.invalid().is_empty() {
                    out.extend_from_slice("\u{FFFD}".as_bytes());
                }
            }
            out.push(b'"');
        });
    }

    pub fn int(&mut self, key: Option<&str>, value: impl Into<i128>) {
        let value = value.into();
        self.put(key, MORE, |out| drop(write!(out, "{value}")));
    }

    /// Writes the shortest text that reads back as this double.
    pub fn double(&mut self, key: Option<&str>, value: f64) {
        match value.is_finite() {
            true => self.put(key, MORE, |out| write_shortest(out, |out| serde_json::to_writer(out, &value))),
            false => self.nonfinite(key, value),
        }
    }

    /// Writes the shortest text that reads back as this float.
    pub fn float(&mut self, key: Option<&str>, value: f32) {
        match value.is_finite() {
            true => self.put(key, MORE, |out| write_shortest(out, |out| serde_json::to_writer(out, &value))),
            false => self.nonfinite(key, f64::from(value)),
        }
    }

    pub fn bool(&mut self, key: Option<&str>, value: bool) {
        self.put(key, MORE, |out| out.extend_from_slice(if value { b"true" } else { b"false" }));
    }

    pub fn null(&mut self, key: Option<&str>) {
        self.put(key, MORE, |out| out.extend_from_slice(b"null"));
    }

    /// Checks and copies JSON that is already encoded.
    pub fn raw(&mut self, key: Option<&str>, json: &[u8]) {
        if self.error.is_some() {
            return;
        }
        let (value, depth) = match strict_value("the JSON", json) {
            Ok(checked) => checked,
            Err(error) => return self.fail(key, error.status, error.message),
        };
        if self.depth() + depth > MAX_DEPTH {
            return self.fail(key, Status::ENOS_ERR_TOO_LARGE, too_deep());
        }
        self.put(key, value.len(), |out| out.extend_from_slice(value.as_bytes()));
    }

    fn nonfinite(&mut self, key: Option<&str>, value: f64) {
        match self.nonfinite {
            Nonfinite::ENOS_NONFINITE_ERROR => {
                self.fail(key, Status::ENOS_ERR_INVALID_ARG, format_args!("JSON has no number for {value}"));
            }
            Nonfinite::ENOS_NONFINITE_NULL => self.null(key),
            // Without it, the elements behind it would move up.
            Nonfinite::ENOS_NONFINITE_LEAVE_OUT if matches!(self.open.last(), Some(Level::Array { .. })) => {
                self.null(key)
            }
            Nonfinite::ENOS_NONFINITE_LEAVE_OUT => {
                if self.check_place(key) {
                    self.left_out += 1;
                    if let Some(Level::Point { filled, left_out, .. }) = self.open.last_mut() {
                        (*filled, *left_out) = (true, true);
                    }
                }
            }
        }
    }

    fn begin(&mut self, key: Option<&str>, open: impl FnOnce(&mut Builder) -> Level) {
        if self.place(key, MORE) {
            let level = open(self);
            self.open.push(level);
            if self.depth() > MAX_DEPTH {
                self.fail(key, Status::ENOS_ERR_TOO_LARGE, too_deep());
            }
        }
    }

    /// The number of open brackets.
    fn depth(&self) -> usize {
        self.open.iter().map(|level| if matches!(level, Level::Measurepoints { .. }) { 2 } else { 1 }).sum()
    }

    /// Puts a value that needs at most `most` bytes.
    fn put(&mut self, key: Option<&str>, most: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.place(key, most) {
            write(&mut self.text);
            self.terminate();
        }
    }

    /// Adds a NUL after the text, for C. It is not part of the text.
    fn terminate(&mut self) {
        self.text.push(0);
        self.text.pop();
    }

    /// Whether a value with this key is allowed here.
    fn check_place(&mut self, key: Option<&str>) -> bool {
        if self.error.is_some() {
            return false;
        }
        let words = match (self.open.last(), key) {
            (Some(Level::Object { id, .. } | Level::Measurepoints { id, .. }), Some(key)) => {
                let (id, key) = (*id, key);
                match self.keys.has(&self.text, Key::new(id, key), key) {
                    false => return true,
                    true => "the object has this key already",
                }
            }
            (Some(Level::Object { .. } | Level::Measurepoints { .. }), None) => "a member of an object needs a key",
            (_, Some(_)) => "only a member of an object has a key",
            (Some(Level::Point { filled: true, .. }), None) => "a point has one value",
            (Some(Level::Array { .. } | Level::Point { .. }), None) => return true,
            (None, None) if self.text.is_empty() => return true,
            (None, None) => "the JSON is complete; clear it first",
        };
        self.fail(key, Status::ENOS_ERR_STATE, words);
        false
    }

    /// Writes the comma and the key before a value. False if no value is allowed here.
    fn place(&mut self, key: Option<&str>, most: usize) -> bool {
        if !self.check_place(key) {
            return false;
        }
        let before = key.map_or(0, escaped_len) + MORE;
        let room = self.text.try_reserve(before.saturating_add(most)).is_ok();
        if !room || self.open.try_reserve(1).is_err() || !self.keys.has_room() {
            self.fail(key, Status::ENOS_ERR_NO_MEMORY, "no memory for it");
            return false;
        }
        let id = match self.open.last_mut() {
            Some(Level::Object { id, empty } | Level::Measurepoints { id, empty, .. }) => {
                separate(&mut self.text, empty);
                Some(*id)
            }
            Some(Level::Array { empty }) => {
                separate(&mut self.text, empty);
                None
            }
            Some(Level::Point { filled, .. }) => {
                *filled = true;
                None
            }
            None => None,
        };
        if let (Some(id), Some(key)) = (id, key) {
            let from = self.text.len();
            write_text(&mut self.text, key);
            self.keys.add(Key::new(id, key), from..self.text.len());
            self.text.push(b':');
        }
        true
    }

    /// The end needs [`MORE`] bytes at most.
    fn close(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.text.try_reserve(MORE).is_err() {
            return self.fail(None, Status::ENOS_ERR_NO_MEMORY, "no memory for its end");
        }
        write(&mut self.text);
        self.terminate();
        self.open.pop();
    }

    /// The point that is open was never there.
    fn take_out(&mut self, from: usize, key: Key, was_empty: bool) {
        self.open.pop();
        if let Some(Level::Measurepoints { empty, .. }) = self.open.last_mut() {
            *empty = was_empty;
        }
        self.keys.remove(key);
        self.text.truncate(from);
    }
}

/// Room for brackets, quotes, a comma and a number.
const MORE: usize = 64;

fn too_deep() -> String {
    format!("it nests deeper than {MAX_DEPTH} levels")
}

fn separate(text: &mut Vec<u8>, empty: &mut bool) {
    if !std::mem::replace(empty, false) {
        text.push(b',');
    }
}
