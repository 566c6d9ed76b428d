//! Texts for a log or a terminal that may contain text from elsewhere: a topic, EnOS's message, a name in a
//! certificate, a path.

/// Whether a character is safe to show. A control character or a line separator can forge a line or control a terminal.
/// A bidirectional control changes the order in which the rest is read.
pub fn is_plain(c: char) -> bool {
    // U+0085, the next line, is a control character.
    let separates = matches!(c, '\u{2028}' | '\u{2029}');
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !(c.is_control() || separates || turns)
}

/// The character, or '?' instead of one that is not plain.
pub fn plain(c: char) -> char {
    if is_plain(c) {
        c
    } else {
        '?'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_lines_or_words_is_replaced_and_nothing_else() {
        for c in
            "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9f}\u{2028}\u{2029}\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}"
                .chars()
        {
            assert_eq!(plain(c), '?', "{}", c.escape_unicode());
        }
        let fine = "a ~é\u{a0}\u{2027}\u{202f}\u{2065}\u{206a}שלום 温度 🌡";
        assert_eq!(fine.chars().map(plain).collect::<String>(), fine);
    }
}
