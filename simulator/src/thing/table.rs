//! The requests that EnOS documents: a row for each, with the function that checks it.

use super::checks::gateway::{logins, register, topology};
use super::checks::{attributes, channel, ota, points, reports, tags, Request, Verdict};
use super::Place;

/// Where a topic begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `/sys/{pk}/{dk}/`
    Thing,
    /// `/ext/session/{pk}/{dk}/`
    Session,
    /// `/sys/{pk}/integration/`
    Integration,
}

#[derive(Clone, Copy)]
pub enum Check {
    /// The payload is an envelope in JSON.
    Json(fn(&mut Request) -> Verdict),
    /// The payload is bytes. In EnOS a script of the product decodes them and makes the answer; here they come back.
    Raw,
}

pub struct Row {
    pub scope: Scope,
    /// The rest of the topic; `+` stands for a name.
    pub path: &'static str,
    pub check: Check,
}

const fn thing(path: &'static str, check: fn(&mut Request) -> Verdict) -> Row {
    Row { scope: Scope::Thing, path, check: Check::Json(check) }
}

const fn session(path: &'static str, check: fn(&mut Request) -> Verdict) -> Row {
    Row { scope: Scope::Session, path, check: Check::Json(check) }
}

const fn channel(path: &'static str, check: fn(&mut Request) -> Verdict) -> Row {
    Row { scope: Scope::Integration, path, check: Check::Json(check) }
}

pub const TABLE: &[Row] = &[
    thing("thing/measurepoint/post", points::post),
    thing("thing/measurepoint/post/batch", points::batch),
    thing("thing/measurepoint/resume", points::post),
    thing("thing/measurepoint/resume/batch", points::batch),
    thing("thing/event/+/post", points::event),
    Row { scope: Scope::Thing, path: "thing/model/up_raw", check: Check::Raw },
    thing("thing/attribute/update", attributes::update),
    thing("thing/attribute/query", attributes::query),
    thing("thing/attribute/delete", attributes::delete),
    thing("thing/tag/update", tags::update),
    thing("thing/tag/query", tags::query),
    thing("thing/tag/delete", tags::delete),
    thing("thing/tsltemplate/get", reports::model),
    thing("thing/log/post", reports::log),
    thing("network/status/report", reports::network),
    thing("connection/state/post", reports::connections),
    thing("ota/device/inform", ota::inform),
    thing("ota/device/progress", ota::progress),
    thing("ota/device/getversion", ota::getversion),
    thing("thing/device/register", register::register),
    thing("thing/topo/add", topology::add),
    thing("thing/topo/delete", topology::delete),
    thing("thing/topo/get", topology::get),
    session("combine/login", logins::login),
    session("combine/login/batch", logins::batch),
    session("combine/logout", logins::logout),
    channel("measurepoint/post", channel::points),
    channel("event/post", channel::events),
    channel("attribute/post", channel::attributes),
    Row { scope: Scope::Integration, path: "model/up_raw", check: Check::Raw },
];

/// The row of a topic, and the name in it.
pub fn find<'a>(place: &'a Place) -> Option<(&'static Row, &'a str)> {
    let scope = match place {
        Place::Sys(..) => Scope::Thing,
        Place::Session(..) => Scope::Session,
        Place::Integration(..) => Scope::Integration,
        Place::Free => return None,
    };
    lookup(scope, place.suffix())
}

/// Whether `suffix` is a request of the integration channel.
pub fn is_channel(suffix: &str) -> bool {
    lookup(Scope::Integration, suffix).is_some()
}

fn lookup(scope: Scope, suffix: &str) -> Option<(&'static Row, &str)> {
    TABLE.iter().filter(|row| row.scope == scope).find_map(|row| Some((row, name_in(row.path, suffix)?)))
}

/// The part of `suffix` that `+` stands for, "" if there is none; None if they do not match.
fn name_in<'a>(path: &str, suffix: &'a str) -> Option<&'a str> {
    let Some((head, tail)) = path.split_once('+') else { return (path == suffix).then_some("") };
    let name = suffix.strip_prefix(head)?.strip_suffix(tail)?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::checks::tests::code;
    use super::*;
    use serde_json::json;

    #[test]
    fn undocumented_requests_are_refused() {
        for suffix in ["thing/measurepoint/put", "thing/event/post", "thing/event/a/b/post", "ota/device/request"] {
            assert_eq!(code(suffix, json!({})), 1009, "{suffix}");
        }
        let known = |topic: &str| find(&Place::of(topic)).map(|(row, name)| (row.path, name.to_owned()));
        assert_eq!(known("/ext/session/pk/dk/thing/measurepoint/post"), None);
        assert_eq!(known("/ext/session/pk/dk/combine/login"), Some(("combine/login", String::new())));
        assert_eq!(known("/sys/pk/dk/thing/event/alarm/post"), Some(("thing/event/+/post", "alarm".into())));
        assert_eq!(known("/sys/pk/integration/event/post"), Some(("event/post", String::new())));
    }

    #[test]
    fn what_only_a_gateway_may_do_is_refused() {
        let refused = [("topo/add", 1255), ("topo/delete", 1256), ("topo/get", 1200), ("device/register", 1009)];
        for (suffix, expected) in refused {
            assert_eq!(code(&format!("thing/{suffix}"), json!([])), expected);
        }
        for suffix in ["combine/login", "combine/login/batch", "combine/logout"] {
            assert_eq!(code(suffix, json!({})), 740);
        }
    }
}
