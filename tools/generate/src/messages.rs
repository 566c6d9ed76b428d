//! docs/messages.md, from the table of operations and the doc comments of its values.

use std::fmt::Write;
use std::fs;

use enos::internals::protocol::operations::{Durability, Params, Reply, Row, Senders, TABLE};
use enos::internals::protocol::topic::{self, Scope};
use enos::internals::protocol::Identity;
use support::native::root;

pub const PATH: &str = "docs/messages.md";
const SOURCE: &str = "src/protocol/operations/mod.rs";

const OPENING: &str = "\
# Messages

What a device can tell or ask EnOS. Each operation is a row of the table in
[`src/protocol/operations`](../src/protocol/operations/mod.rs). `make messages` writes this page from that table.

The numbers are also in a device's storage, so they are never used again for another operation. The limits are those of
EnOS's documentation. EnOS checks them, the library does not: it refuses only what cannot be right, which is params that
are no JSON or of another shape, and messages of 512 KiB and more.
";

pub fn generate() -> String {
    let source = fs::read_to_string(root().join(SOURCE)).unwrap();
    let mut out = OPENING.to_owned();
    for row in TABLE {
        let name = format!("{:?}", row.operation);
        write!(out, "\n## {name}\n\n{}\n\n| | |\n|---|---|\n", comment(&source, &name)).unwrap();
        for (what, value) in cells(row) {
            writeln!(out, "| {what} | {value} |").unwrap();
        }
    }
    out
}

fn cells(row: &Row) -> Vec<(&'static str, String)> {
    let code = |text: String| format!("`{text}`");
    let none = || "none".to_owned();
    let params = match row.params {
        Params::Object => "a JSON object".to_owned(),
        Params::Array => "a JSON array".to_owned(),
        Params::Json => "a JSON object or array".to_owned(),
        Params::Bytes => "any bytes, which are the whole payload".to_owned(),
    };
    let reply = match row.reply {
        Reply::None => none(),
        Reply::Json => format!("{}: `id`, `code`, `data`, `message`", code(topic::reply_topic(&topic(row)))),
        Reply::Bytes => format!("{}: any bytes", code(topic::reply_topic(&topic(row)))),
    };
    let durable = match row.durable {
        Durability::Never => "no".to_owned(),
        Durability::Kept if row.newest_only => "yes; only the newest of those that wait is sent".to_owned(),
        Durability::Kept => "yes".to_owned(),
        Durability::KeptThenLate(late) => format!("yes; as `{late:?}` on a later link, with `ENOS_REQUEST_RESUME`"),
    };
    let method = match row.params {
        Params::Bytes => none(),
        Params::Object | Params::Array | Params::Json => code(row.operation.method("{name}")),
    };
    let flags: Vec<_> = row.members.iter().map(|(flag, member)| format!("`{flag:?}` (`{member}`)")).collect();
    let flags = if flags.is_empty() { none() } else { flags.join(", ") };
    vec![
        ("number", (row.operation as i32).to_string()),
        ("topic", code(topic(row))),
        ("method", method),
        ("params", params),
        ("flags of its own", flags),
        ("reply", reply),
        ("durable", durable),
        ("sender", senders(row.senders)),
        ("QoS", row.qos.to_string()),
    ]
}

pub fn topic(row: &Row) -> String {
    let identity = Identity::new("{product key}", "{device key}", None).unwrap();
    let name = if row.scope == Scope::Own { "{topic}" } else { "{name}" };
    row.operation.topic(&identity, name)
}

fn senders(Senders { device, subdevice, channel }: Senders) -> String {
    let all = [
        (device && subdevice, "a device"),
        (subdevice, "a gateway for a sub-device"),
        (device && !subdevice, "a gateway"),
        (channel, "an integration channel"),
        (!device && !subdevice && !channel, "the library by itself"),
    ];
    let words: Vec<_> = all.into_iter().filter(|(may, _)| *may).map(|(_, who)| who).collect();
    words.join(", ")
}

/// The doc comment of a value of the enumeration.
fn comment(source: &str, name: &str) -> String {
    let declaration = format!("    {name} = ");
    let (before, _) = source.split_once(&declaration).unwrap_or_else(|| panic!("{SOURCE} has no {name}"));
    let lines: Vec<_> = before.lines().rev().map_while(|line| line.trim().strip_prefix("///")).map(str::trim).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
