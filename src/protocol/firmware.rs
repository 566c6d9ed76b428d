//! A firmware that EnOS offers: the params of the command ota/device/upgrade, and the rows in the reply to a version query.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json;
use crate::error::Result;

/// The longest URL, in bytes. Signed URLs are long.
pub const MAX_URL: usize = 8 * 1024;
/// The longest version, sign method and digest, in bytes.
pub const MAX_TEXT: usize = 512;

/// What is offered. No text is empty, has a control character, or is longer than its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    pub version: String,
    /// As EnOS gives it, often without scheme and host.
    pub url: String,
    /// The name of the digest, for example `md5`.
    pub sign_method: String,
    /// The digest of the image, in hex.
    pub sign: String,
    /// In bytes.
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    file_url: Option<&'a RawValue>,
    sign_method: Option<&'a RawValue>,
    sign: Option<&'a RawValue>,
    file_size: Option<&'a RawValue>,
}

impl Firmware {
    /// Reads an object of JSON. The words of an error name the member, and quote nothing.
    pub fn parse(json: &[u8]) -> Result<Firmware> {
        let fields: Fields = json::object(WHAT, json)?;
        Ok(Firmware {
            version: text("version", fields.version, MAX_TEXT)?,
            url: text("fileUrl", fields.file_url, MAX_URL)?,
            sign_method: text("signMethod", fields.sign_method, MAX_TEXT)?,
            sign: text("sign", fields.sign, MAX_TEXT)?,
            size: size(fields.file_size)?,
        })
    }

    /// Whether the two have the same content. Their URLs may differ, because EnOS may sign them anew for each offer.
    pub fn is_same_image(&self, other: &Firmware) -> bool {
        self.version == other.version
            && self.size == other.size
            && self.sign_method.eq_ignore_ascii_case(&other.sign_method)
            && self.sign.eq_ignore_ascii_case(&other.sign)
    }
}

const WHAT: &str = "the firmware";

fn text(name: &str, raw: Option<&RawValue>, most: usize) -> Result<String> {
    let text = raw.and_then(json::string).filter(|text| !text.is_empty());
    let Some(text) = text else {
        return Err(json::parse_error(format!("{WHAT} has no \"{name}\", which has to be a text that is not empty")));
    };
    if text.len() > most || text.chars().any(char::is_control) {
        let words = format!("{WHAT}: its \"{name}\" has a control character, or more than {most} bytes");
        return Err(json::parse_error(words));
    }
    Ok(text.to_string())
}

fn size(raw: Option<&RawValue>) -> Result<u64> {
    let digits = raw.and_then(json::string_or_number);
    let size = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())).and_then(|it| it.parse().ok());
    size.ok_or_else(|| {
        json::parse_error(format!("{WHAT} has no \"fileSize\", which has to be a whole number of bytes"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    fn with(member: &str, json: &str) -> Result<Firmware> {
        let members = [
            ("version", r#""v2.0""#),
            ("sign", r#""0CC175b9""#),
            ("signMethod", r#""md5""#),
            ("fileUrl", r#""/1b30/ota/kadak13""#),
            ("fileSize", "1024"),
        ];
        let members = members.map(|(name, value)| format!("\"{name}\":{}", if name == member { json } else { value }));
        Firmware::parse(format!("{{{},\"other\":[1]}}", members.join(",")).as_bytes())
    }

    #[test]
    fn an_offer_as_enos_documents_it() {
        let firmware = Firmware {
            version: "v2.0".into(),
            url: "/1b30/ota/kadak13".into(),
            sign_method: "md5".into(),
            sign: "0CC175b9".into(),
            size: 1024,
        };
        assert_eq!(with("", "").unwrap(), firmware);
        assert_eq!(with("version", r#""v\u0032.0""#).unwrap(), firmware);
    }

    #[test]
    fn sizes_are_numbers_or_texts() {
        for (json, size) in [("0", 0), (r#""1024""#, 1024), ("5368709120", 5 << 30), (r#""0012""#, 12)] {
            assert_eq!(with("fileSize", json).unwrap().size, size, "{json}");
        }
        assert_eq!(with("fileSize", &u64::MAX.to_string()).unwrap().size, u64::MAX);
        for json in
            ["-1", "1.0", "1e3", r#""""#, r#""1k""#, r#"" 1""#, r#""+1""#, "null", "18446744073709551616", "[1]"]
        {
            let error = with("fileSize", json).unwrap_err();
            assert!(
                error.status == Status::ENOS_ERR_PARSE && error.message.contains("\"fileSize\""),
                "{json}: {error}"
            );
        }
    }

    #[test]
    fn each_text_is_there_and_can_be_a_c_string() {
        for name in ["version", "sign", "signMethod", "fileUrl"] {
            for json in ["null", "1", "{}", r#""""#, r#""a\u0000b""#, r#""a\r\nb""#, r#""\ud800""#] {
                let error = with(name, json).unwrap_err();
                let named = error.message.contains(&format!("\"{name}\""));
                assert!(error.status == Status::ENOS_ERR_PARSE && named, "{name} {json}: {error}");
            }
            let most = if name == "fileUrl" { MAX_URL } else { MAX_TEXT };
            with(name, &format!("\"{}\"", "x".repeat(most))).unwrap();
            with(name, &format!("\"{}\"", "x".repeat(most + 1))).unwrap_err();
        }
    }

    #[test]
    fn anything_else_is_no_firmware() {
        for json in ["", "null", "[]", r#""v2""#, "{}", "{", r#"{"version":"1","version":"2"}"#] {
            assert_eq!(Firmware::parse(json.as_bytes()).unwrap_err().status, Status::ENOS_ERR_PARSE, "{json}");
        }
        let nested = format!("{}{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        assert_eq!(Firmware::parse(nested.as_bytes()).unwrap_err().status, Status::ENOS_ERR_PARSE);
    }

    #[test]
    fn an_image_is_its_content() {
        let offer = with("", "").unwrap();
        for (member, json) in [("fileUrl", r#""https://a/b""#), ("sign", r#""0cc175B9""#), ("signMethod", r#""MD5""#)] {
            assert!(offer.is_same_image(&with(member, json).unwrap()), "{member}");
        }
        for (member, json) in
            [("version", r#""V2.0""#), ("sign", r#""0cc175b8""#), ("signMethod", r#""sha1""#), ("fileSize", "1025")]
        {
            assert!(!offer.is_same_image(&with(member, json).unwrap()), "{member}");
        }
    }
}
