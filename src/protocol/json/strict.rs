//! JSON that every reader reads alike. JSON from the host is refused if another reader would refuse it, or could read
//! it differently: EnOS answers a message that it cannot read without saying which one it was.
//!
//! These rules are stricter than RFC 8259:
//! - no half of a surrogate pair (`"\\ud800"`), because it is no character;
//! - no number beyond the range of a double (`1e999`);
//! - no key twice in an object, because readers differ in which one counts;
//! - no more than [`MAX_DEPTH`] levels, and nothing but UTF-8.
//!
//! It does not recurse, needs time that is linear in the number of bytes, except for sorting the keys of each object, and
//! needs no memory for a text that has at most [`FEW`](keys::FEW) keys in objects that are open at the same time.

mod keys;
#[cfg(test)]
mod tests;

use super::read::{escape, hex4, literal_end, number_end, plain_end, skip_blanks};
use super::MAX_DEPTH;
use keys::{Key, Keys};

/// What is wrong with a text, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub words: &'static str,
    pub at: usize,
}

const NOT_UTF8: &str = "is not UTF-8";
const NOT_JSON: &str = "is not JSON";
const CUT: &str = "ends in the middle of its JSON";
const HALF: &str = "has a text with half of a surrogate pair";
const HUGE: &str = "has a number that no double can hold";
pub const TOO_DEEP: &str = "nests deeper than 64 levels";
pub const NO_MEMORY: &str = "has more keys than there is memory for";

type Checked<T> = Result<T, Fault>;

/// The value without the blanks around it, and how deep it nests.
pub fn check(json: &[u8]) -> Checked<(&str, usize)> {
    let text = std::str::from_utf8(json).map_err(|error| Fault { words: NOT_UTF8, at: error.valid_up_to() })?;
    let bytes = text.as_bytes();
    let from = skip_blanks(bytes, 0);
    let (mut open, mut deepest) = (Open::default(), 0);
    let mut at = from;
    loop {
        // A value begins here.
        at = match bytes.get(at) {
            Some(bracket @ (b'{' | b'[')) => {
                open.push(*bracket == b'{').ok_or(Fault { words: TOO_DEEP, at })?;
                deepest = deepest.max(open.depth);
                let first = skip_blanks(bytes, at + 1);
                if !open.is_closed_by(bytes.get(first)) {
                    at = open.value_after(bytes, first)?;
                    continue;
                }
                first
            }
            _ => scalar(bytes, at)?,
        };
        // It ends here, or its closing bracket does.
        loop {
            let end = at;
            at = skip_blanks(bytes, at);
            if open.depth == 0 {
                return match bytes.get(at) {
                    None => Ok((text.get(from..end).unwrap_or_default(), deepest)),
                    Some(_) => Err(Fault { words: NOT_JSON, at }),
                };
            }
            let next = bytes.get(at);
            if open.is_closed_by(next) {
                open.pop(bytes)?;
                at += 1;
            } else if next == Some(&b',') {
                at = open.value_after(bytes, skip_blanks(bytes, at + 1))?;
                break;
            } else {
                return Err(unexpected(bytes, at));
            }
        }
    }
}

/// The containers that are open.
struct Open {
    depth: usize,
    /// One bit for each: whether it is an object.
    objects: u64,
    keys: Keys,
    /// Where the keys of each begin in `keys`.
    begin: [usize; MAX_DEPTH],
}

impl Default for Open {
    fn default() -> Open {
        Open { depth: 0, objects: 0, keys: Keys::default(), begin: [0; MAX_DEPTH] }
    }
}

impl Open {
    /// `None` if it is too deep.
    fn push(&mut self, is_object: bool) -> Option<()> {
        *self.begin.get_mut(self.depth)? = self.keys.len();
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(is_object);
        Some(())
    }

    fn is_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn is_closed_by(&self, byte: Option<&u8>) -> bool {
        byte == Some(if self.is_object() { &b'}' } else { &b']' })
    }

    fn pop(&mut self, text: &[u8]) -> Checked<()> {
        self.depth -= 1;
        self.objects >>= 1;
        self.keys.end_object(text, self.begin[self.depth])
    }

    /// Where the next value of the innermost container begins: in an object, after its key and the colon.
    fn value_after(&mut self, text: &[u8], at: usize) -> Checked<usize> {
        if !self.is_object() {
            return Ok(at);
        }
        if text.get(at) != Some(&b'"') {
            return Err(unexpected(text, at));
        }
        let (end, has_escapes) = string(text, at)?;
        self.keys.push(Key::new(text, at, end, has_escapes))?;
        let colon = skip_blanks(text, end);
        match text.get(colon) {
            Some(b':') => Ok(skip_blanks(text, colon + 1)),
            _ => Err(unexpected(text, colon)),
        }
    }
}

/// The position after the text, number or literal that begins at `at`.
fn scalar(text: &[u8], at: usize) -> Checked<usize> {
    let end = match text.get(at) {
        Some(b'"') => return string(text, at).map(|(end, _)| end),
        Some(b'-' | b'0'..=b'9') => {
            let end = number_end(text, at);
            if !end.and_then(|end| text.get(at..end)).is_none_or(is_finite) {
                return Err(Fault { words: HUGE, at });
            }
            end
        }
        Some(b't') => literal_end(text, at, b"true"),
        Some(b'f') => literal_end(text, at, b"false"),
        Some(b'n') => literal_end(text, at, b"null"),
        _ => None,
    };
    end.ok_or_else(|| unexpected(text, at))
}

/// Without an exponent, only a number of more than 308 digits can be too large.
fn is_finite(number: &[u8]) -> bool {
    let may_be_huge = number.len() > 308 || number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    let is_finite = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    !may_be_huge || std::str::from_utf8(number).is_ok_and(is_finite)
}

/// The position after the text that begins at `at`, and whether it has escapes.
fn string(text: &[u8], at: usize) -> Checked<(usize, bool)> {
    let (mut end, mut has_escapes) = (at + 1, false);
    loop {
        end = plain_end(text, end);
        match text.get(end) {
            Some(b'"') => return Ok((end + 1, has_escapes)),
            Some(b'\\') => {
                has_escapes = true;
                let rest = text.get(end + 1..).unwrap_or_default();
                let Some((_, len)) = escape(rest) else { return Err(bad_escape(text, at, end, rest)) };
                end += 1 + len;
            }
            _ => return Err(unexpected(text, end)),
        }
    }
}

/// `rest` is what follows the backslash at `at`, in the string that begins at `string`.
fn bad_escape(text: &[u8], string: usize, at: usize, rest: &[u8]) -> Fault {
    match rest {
        _ if !rest.contains(&b'"') => unexpected(text, text.len()),
        [b'u', digits @ ..] if digits.get(..4).and_then(hex4).is_some() => Fault { words: HALF, at: string },
        _ => Fault { words: NOT_JSON, at },
    }
}

fn unexpected(text: &[u8], at: usize) -> Fault {
    Fault { words: if at < text.len() { NOT_JSON } else { CUT }, at }
}
