//! The params of measure point posts, and the "time" of those and of other requests.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::protocol::json;

/// The range of times in a request, in milliseconds since 1970: from 1973 to 5138. Times in seconds, or from a clock
/// that was never set, are outside.
const TIMES_MS: std::ops::RangeInclusive<u64> = 100_000_000_000..=100_000_000_000_000;

#[derive(Deserialize)]
struct Timed<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    time: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    product_key: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    device_key: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Pointed<'a> {
    #[serde(borrow)]
    measurepoints: Option<&'a RawValue>,
}

/// Whether an object has a "time". An error if that is no plausible time.
pub fn has_time(what: &str, object: &[u8]) -> Result<bool> {
    let Some(time) = read::<Timed>(what, object)?.time else { return Ok(false) };
    match time.get().parse() {
        Ok(time) if TIMES_MS.contains(&time) => Ok(true),
        Ok(time) => Err(Error::invalid(format!(
            "{what}: \"time\" is {time}, which is no time of our days in milliseconds since 1970"
        ))),
        Err(_) => Err(Error::invalid(format!("{what}: \"time\" has to be a whole number of milliseconds since 1970"))),
    }
}

/// The same for each item of a batch: true if all have a time.
pub fn all_have_time(batch: &[u8]) -> Result<bool> {
    items(batch)?
        .iter()
        .enumerate()
        .try_fold(true, |all, (at, item)| Ok(has_time(&format!("params[{at}]"), item.get().as_bytes())? && all))
}

/// Checks that there is at least one measure point.
pub fn check(params: &[u8]) -> Result<()> {
    check_points("params", params)
}

/// Checks that there is at least one item, and that each has a measure point.
pub fn check_batch(params: &[u8]) -> Result<()> {
    let items = items(params)?;
    if items.is_empty() {
        return Err(Error::invalid("params: a batch has to have at least one item"));
    }
    let mut items = items.iter().enumerate();
    items.try_for_each(|(at, item)| check_points(&format!("params[{at}]"), item.get().as_bytes()))
}

/// Checks that the params of a post can be an item of a batch: they do not name a device.
pub fn check_joinable(params: &[u8]) -> Result<()> {
    let Named { product_key, device_key } = read("params", params)?;
    match (product_key, device_key) {
        (None, None) => Ok(()),
        _ => Err(Error::invalid("params: a post that is joined with others has no \"productKey\" or \"deviceKey\"")),
    }
}

fn check_points(what: &str, object: &[u8]) -> Result<()> {
    let points = read::<Pointed>(what, object)?.measurepoints;
    let inside = points.and_then(|points| points.get().strip_prefix('{')?.strip_suffix('}'));
    if inside.is_none_or(|inside| inside.trim().is_empty()) {
        let words = format!("{what}: its \"measurepoints\" have to be an object with at least one member");
        return Err(Error::invalid(words));
    }
    Ok(())
}

fn read<'a, T: Deserialize<'a>>(what: &str, object: &'a [u8]) -> Result<T> {
    json::object(what, object).map_err(|error| Error::invalid(error.message))
}

fn items(batch: &[u8]) -> Result<Vec<&RawValue>> {
    json::array("params", batch).map_err(|error| Error::invalid(error.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    #[test]
    fn a_post_has_points() {
        for points in [r#""#, r#""measurepoints":{ },"#, r#""measurepoints":[1],"#, r#""measurepoints":"{1}","#] {
            let post = format!(r#"{{{points}"time":1700000000000}}"#);
            let error = check(post.as_bytes()).unwrap_err();
            assert!(error.message.contains("at least one member"), "{points}: {error}");
            let error = check_batch(format!(r#"[{{"measurepoints":{{"t":1}}}},{post}]"#).as_bytes()).unwrap_err();
            assert!(error.message.starts_with("params[1]: its \"measurepoints\""), "{points}: {error}");
        }
        check_batch(br#"[{"measurepoints":{"t":1}},{"deviceKey":"x","measurepoints":{"t":1}}]"#).unwrap();
        for batch in ["[]", "[1]", "[[]]", r#"[{"measurepoints":{"t":1}},null]"#, r#"{"measurepoints":{"t":1}}"#] {
            assert_eq!(check_batch(batch.as_bytes()).unwrap_err().status, Status::ENOS_ERR_INVALID_ARG, "{batch}");
        }
    }

    #[test]
    fn a_time_is_in_milliseconds() {
        let time = |params: &str| has_time("params", params.as_bytes());
        assert!(time(r#"{"time":1700000000000}"#).unwrap());
        assert!(!time(r#"{"a":{"time":1}}"#).unwrap());
        for wrong in ["null", r#""1700000000000""#, "1700000000", "-1", "1700000000000.5", "1,\"time\":1"] {
            let object = format!(r#"{{"time":{wrong}}}"#);
            assert_eq!(time(&object).unwrap_err().status, Status::ENOS_ERR_INVALID_ARG, "{wrong}");
            assert!(all_have_time(format!(r#"[{{"time":1700000000000}},{object}]"#).as_bytes()).is_err(), "{wrong}");
        }
        for params in [r#"[{"time":1700000000000}]"#, "{"] {
            assert_eq!(time(params).unwrap_err().status, Status::ENOS_ERR_INVALID_ARG, "{params}");
        }
        assert!(all_have_time(br#"[{"time":1700000000000},{"time":1700000000001}]"#).unwrap());
        assert!(!all_have_time(br#"[{},{"time":1700000000000}]"#).unwrap());
    }
}
