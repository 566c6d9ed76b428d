//! Numbers of any length.

use super::{kind, trim, Fault, Read};
use crate::model::value::Kind;

/// A whole number in any notation: 100, 100.0 and 1e2 are the same. It is never rounded or truncated.
pub fn integer(text: &[u8]) -> Read<i128> {
    let number = number(text)?;
    let (mantissa, exponent) = match number.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&number[..at], exponent(&number[at + 1..])),
        None => (number, 0),
    };
    let digits = || mantissa.iter().filter(|byte| byte.is_ascii_digit());
    let nonzero = digits().enumerate().filter(|(_, digit)| **digit != b'0');
    let Some((last, _)) = nonzero.last() else { return Ok(0) };
    let fraction = mantissa.iter().position(|byte| *byte == b'.').map_or(0, |dot| mantissa.len() - dot - 1);
    let all = digits().count();
    // The power of ten of the last digit that is not 0.
    let power = exponent.saturating_sub(fraction as i64).saturating_add((all - 1 - last) as i64);
    if power < 0 {
        return Err(Fault::OtherKind);
    }
    let leading = digits().take_while(|byte| **byte == b'0').count();
    // A number of 64 bits has at most 20 digits.
    if (last + 1 - leading) as i64 + power.min(100) > 20 {
        return Err(Fault::OutOfRange);
    }
    let value = digits().take(last + 1).skip(leading).fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    let value = value * 10i128.pow(power as u32);
    Ok(if number.starts_with(b"-") { -value } else { value })
}

/// The nearest double. A number that is nearer to 0 than to any other double becomes 0.
pub fn double(text: &[u8]) -> Read<f64> {
    let number = number(text)?;
    let value: f64 = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok()).ok_or(Fault::Malformed)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Fault::OutOfRange)
    }
}

/// The value of an exponent. A huge exponent is only large, and does not overflow.
fn exponent(text: &[u8]) -> i64 {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let size = digits.fold(0i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    let size = size.min(i64::MAX / 4);
    if text.starts_with(b"-") {
        -size
    } else {
        size
    }
}

/// The bytes of a number, without blanks around it, if they match the grammar of JSON.
fn number(text: &[u8]) -> Read<&[u8]> {
    if kind(text)? != Kind::ENOS_VALUE_NUMBER {
        return Err(Fault::OtherKind);
    }
    let number = trim(text);
    if number_end(number, 0) == Some(number.len()) {
        Ok(number)
    } else {
        Err(Fault::Malformed)
    }
}

/// The position after the number that begins at `at`.
pub fn number_end(text: &[u8], mut at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let from = at;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > from).then_some(at)
    };
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(text.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits(at)?;
    }
    Some(at)
}
