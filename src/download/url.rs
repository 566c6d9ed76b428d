//! The URLs of images.

use crate::error::{Error, Result};
use crate::protocol::firmware::MAX_URL;

/// Where a URL leads: what decides whether the host's headers go along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub https: bool,
    pub host: String,
    pub port: String,
}

impl Origin {
    /// `ENOS_ERR_INVALID_ARG` if the URL is none of http:// or https://. The words do not quote it: it may be signed.
    pub fn of(url: &str) -> Result<Origin> {
        if url.len() > MAX_URL {
            return Err(Error::invalid(format!("the URL has more than {MAX_URL} bytes")));
        }
        if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(Error::invalid("the URL has a blank, a backslash or a control character"));
        }
        let after = |scheme: &str| {
            let (head, rest) = url.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let (https, rest) = match (after("http://"), after("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => {
                let words =
                    "the URL does not begin with http:// or https://; if EnOS's offer has only a path, set the whole \
                             URL in enos_ota_options.url";
                return Err(Error::invalid(words));
            }
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let place = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match place.rfind(':').filter(|at| !place[*at..].contains(']')) {
            Some(at) => (&place[..at], &place[at + 1..]),
            None => (place, ""),
        };
        if host.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::invalid("the URL has no host, or a port that is no number"));
        }
        let port = match port {
            "" if https => "443",
            "" => "80",
            port => port,
        };
        Ok(Origin { https, host: host.to_ascii_lowercase(), port: port.into() })
    }
}

/// Where a redirect from `base` leads. `location` may be relative.
pub fn resolve(base: &str, location: &str) -> Result<String> {
    if Origin::of(location).is_ok() {
        return Ok(location.to_owned());
    }
    let scheme_end = base.find("://").map_or(0, |at| at + 3);
    let path = base[scheme_end..].find(['/', '?', '#']).map_or(base.len(), |at| scheme_end + at);
    let before_query = base[path..].find(['?', '#']).map_or(base.len(), |at| path + at);
    let joined = match location {
        _ if location.starts_with("//") => format!("{}{location}", &base[..scheme_end.saturating_sub(2)]),
        _ if location.starts_with('/') => format!("{}{location}", &base[..path]),
        _ if location.starts_with('?') => format!("{}{location}", &base[..before_query]),
        // A scheme that is none of the two, or nothing.
        _ if location.is_empty() || location.split(['/', '?', '#']).next().is_some_and(|part| part.contains(':')) => {
            return Err(Error::invalid("the redirect leads to no http:// or https:// URL"));
        }
        _ => {
            let folder = base[path..before_query].rfind('/').map_or("/", |at| &base[path..=path + at]);
            format!("{}{folder}{location}", &base[..path])
        }
    };
    Origin::of(&joined)?;
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> String {
        let Origin { https, host, port } = Origin::of(url).unwrap();
        format!("{https} {host} {port}")
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("http://A.example/b?c"), "false a.example 80");
        assert_eq!(origin("HTTPS://user:p%40ss@a.example:8443"), "true a.example 8443");
        assert_eq!(origin("https://[::1]/x:9"), "true [::1] 443");
        assert_eq!(origin("http://[::1]:81?@b.example:1"), "false [::1] 81");
        assert_eq!(origin("http://good.example@bad.example/"), "false bad.example 80");
    }

    #[test]
    fn redirects_may_be_relative() {
        let base = "https://a.example:1/b/c?d#e";
        for (location, to) in [
            ("http://x/y", "http://x/y"),
            ("//x/y?z", "https://x/y?z"),
            ("/y", "https://a.example:1/y"),
            ("?y", "https://a.example:1/b/c?y"),
            ("y/../z?u=http://x", "https://a.example:1/b/y/../z?u=http://x"),
        ] {
            assert_eq!(resolve(base, location).unwrap(), to, "{location}");
        }
        assert_eq!(resolve("http://a", "y").unwrap(), "http://a/y");
        assert_eq!(resolve("http://a?b", "y").unwrap(), "http://a/y");
        for location in ["", "ftp://x/y", "file:///etc/passwd", "javascript:1", "http://", "///x", "a b"] {
            assert!(resolve(base, location).is_err(), "{location}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_not_quoted() {
        for url in [
            "",
            "/ota/image",
            "ftp://a/b",
            "file:///etc/passwd",
            "http:///x",
            "http://a:b/",
            "http://a/ b",
            "http://a\\@b/",
            "http://a/\r\nx: y",
        ] {
            let error = Origin::of(url).unwrap_err();
            assert!(url.is_empty() || !error.message.contains(url), "{}", error.message);
        }
        Origin::of(&format!("http://a/{}", "x".repeat(MAX_URL - 9))).unwrap();
        Origin::of(&format!("http://a/{}", "x".repeat(MAX_URL - 8))).unwrap_err();
    }
}
