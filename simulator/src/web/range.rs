//! The header Range (RFC 9110, 14).

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: there is no range, or one that this server does not serve.
    All,
    /// From the first byte to the last.
    Part(u64, u64),
    /// Nothing of it is there.
    Unsatisfiable,
}

/// Reads the header. More than one range, or another unit, is answered with everything, as the standard allows.
pub fn parse(header: &str, size: u64) -> Wanted {
    let Some(range) = header.trim().strip_prefix("bytes=") else { return Wanted::All };
    let Some((first, last)) = range.split_once('-') else { return Wanted::All };
    // A sign would be accepted by parse().
    let number = |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            None => Wanted::All,
            Some(0) => Wanted::Unsatisfiable,
            Some(_) if size == 0 => Wanted::Unsatisfiable,
            Some(suffix) => Wanted::Part(size.saturating_sub(suffix), size - 1),
        },
        (first, last) => {
            let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match (number(first), last) {
                (Some(first), Some(last)) if first > last => Wanted::All,
                (Some(first), Some(_)) if first >= size => Wanted::Unsatisfiable,
                (Some(first), Some(last)) => Wanted::Part(first, last.min(size - 1)),
                _ => Wanted::All,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (header, size, wanted) in [
            ("bytes=0-", 10, Wanted::Part(0, 9)),
            ("bytes=4-6", 10, Wanted::Part(4, 6)),
            ("bytes=4-60", 10, Wanted::Part(4, 9)),
            ("bytes=-3", 10, Wanted::Part(7, 9)),
            ("bytes=-30", 10, Wanted::Part(0, 9)),
            ("bytes=9-9", 10, Wanted::Part(9, 9)),
            ("bytes=10-", 10, Wanted::Unsatisfiable),
            ("bytes=0-", 0, Wanted::Unsatisfiable),
            ("bytes=-0", 10, Wanted::Unsatisfiable),
            ("bytes=-1", 0, Wanted::Unsatisfiable),
            ("bytes=6-4", 10, Wanted::All),
            ("bytes=1-2,4-5", 10, Wanted::All),
            ("bytes=+1-2", 10, Wanted::All),
            ("bytes=-", 10, Wanted::All),
            ("bytes=x", 10, Wanted::All),
            ("lines=1-2", 10, Wanted::All),
            ("bytes=99999999999999999999-", 10, Wanted::All),
        ] {
            assert_eq!(parse(header, size), wanted, "{header}");
        }
    }
}
