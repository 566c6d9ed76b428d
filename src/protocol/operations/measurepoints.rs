//! The params of measure point posts.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::protocol::json;

/// The range of times in a post, in milliseconds since 1970: from 1973 to 5138. Times in seconds, or from a clock that
/// was never set, are outside.
const TIMES_MS: std::ops::RangeInclusive<u64> = 100_000_000_000..=100_000_000_000_000;

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    measurepoints: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    time: Option<&'a RawValue>,
}

/// Checks that there is at least one measure point, and that the time, if there is one, is plausible.
pub fn check(params: &[u8]) -> Result<()> {
    let fields: Fields = json::object("params", params).map_err(|error| Error::invalid(error.message))?;
    let inside = fields.measurepoints.and_then(|points| points.get().strip_prefix('{')?.strip_suffix('}'));
    if inside.is_none_or(|inside| inside.trim().is_empty()) {
        return Err(Error::invalid("params: its \"measurepoints\" have to be an object with at least one member"));
    }
    let Some(time) = fields.time else { return Ok(()) };
    match time.get().parse() {
        Ok(time) if TIMES_MS.contains(&time) => Ok(()),
        Ok(time) => Err(Error::invalid(format!(
            "params: \"time\" is {time}, which is no time of our days in milliseconds since 1970"
        ))),
        Err(_) => Err(Error::invalid("params: \"time\" has to be a whole number of milliseconds since 1970")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    #[test]
    fn a_post_has_points() {
        for points in [r#""#, r#""measurepoints":{ },"#, r#""measurepoints":[1],"#, r#""measurepoints":"{1}","#] {
            let error = check(format!(r#"{{{points}"time":1700000000000}}"#).as_bytes()).unwrap_err();
            assert!(error.message.contains("at least one member"), "{points}: {error}");
        }
    }

    #[test]
    fn a_time_is_in_milliseconds() {
        for params in [r#"{"measurepoints":{"t":1},"time":1700000000000}"#, r#"{"measurepoints":{"t":1}}"#] {
            check(params.as_bytes()).unwrap();
        }
        for params in [
            r#"{"measurepoints":{"t":1},"time":null}"#,
            r#"{"measurepoints":{"t":1},"time":"1700000000000"}"#,
            r#"{"measurepoints":{"t":1},"time":1700000000}"#,
            r#"{"measurepoints":{"t":1},"time":-1}"#,
            r#"{"measurepoints":{"t":1},"time":1700000000000.5}"#,
            r#"{"measurepoints":{"t":1},"time":1700000000000,"time":1700000000000}"#,
            r#"[{"measurepoints":{"t":1},"time":1700000000000}]"#,
            "{",
        ] {
            assert_eq!(check(params.as_bytes()).unwrap_err().status, Status::ENOS_ERR_INVALID_ARG, "{params}");
        }
    }
}
