//! The blocks of PEM text.

use openssl::base64;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// Some editors put this before a text in UTF-8. It is also within a file if files were joined.
const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// The text between a BEGIN line and its END line.
pub struct Block<'a> {
    pub label: String,
    lines: Vec<&'a [u8]>,
}

impl Block<'_> {
    /// `None`: this is not Base64. So a block with headers, which is an encrypted one, is refused, and nobody is asked
    /// for a password.
    pub fn decoded(&self) -> Option<Vec<u8>> {
        base64::decode_block(std::str::from_utf8(&self.lines.concat()).ok()?).ok()
    }
}

/// All blocks, without the text around them. An error completes the words "the file".
pub fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, String> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end) {
        if let Some(label) = between(line, BEGIN) {
            if let Some(open) = open {
                return Err(without_end(&open));
            }
            open = Some(Block { label, lines: Vec::new() });
        } else if let Some(label) = between(line, END) {
            match open.take() {
                Some(block) if block.label == label => blocks.push(block),
                Some(block) => return Err(without_end(&block)),
                None => (),
            }
        } else if let Some(open) = &mut open {
            open.lines.push(line);
        }
    }
    open.map_or(Ok(blocks), |open| Err(without_end(&open)))
}

fn between(line: &[u8], before: &[u8]) -> Option<String> {
    let label = line.strip_prefix(before)?.strip_suffix(DASHES)?;
    Some(String::from_utf8_lossy(label).into_owned())
}

fn without_end(block: &Block<'_>) -> String {
    let label: String = block.label.escape_default().take(40).collect();
    format!("is damaged or cut short: a {label} has no end")
}

/// Removes the byte order marks, in place. `false` if the text is in UTF-16, which is not supported.
pub fn unmark(text: &mut Vec<u8>) -> bool {
    if text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]) {
        return false;
    }
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        if (from == 0 || text[from - 1] == b'\n') && text[from..].starts_with(&MARK) {
            from += MARK.len();
        } else {
            text[to] = text[from];
            (from, to) = (from + 1, to + 1);
        }
    }
    text.truncate(to);
    true
}
