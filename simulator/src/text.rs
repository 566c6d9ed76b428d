//! Events as text, one line for each.

use serde_json::Value;
use std::fmt;

use crate::event::{Event, Record, Rule, Stray, Unsent};
use crate::firmware::TaskState;
use crate::payload::Payload;

/// Payloads are truncated after this many characters.
const SHOWN_CHARS: usize = 240;

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}.{:03}  ", self.t_ms / 1000, self.t_ms % 1000)?;
        if let Some(connection) = self.connection {
            write!(f, "#{connection} ")?;
        }
        if let Some(device) = &self.device {
            write!(f, "{} ", printable(&device.to_string()))?;
        }
        self.event.fmt(f)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Listening { address, tls, http, .. } => {
                let kind = match (tls, http) {
                    (false, false) => "",
                    (true, false) => " (TLS)",
                    (false, true) => " (HTTP)",
                    (true, true) => " (HTTPS)",
                };
                write!(f, "listening on {address}{kind}")
            }
            Event::Tls { version, cipher, server_name, client_certificate } => {
                let name = server_name.as_deref().map_or("no server name".into(), printable);
                let certificate = client_certificate.as_deref().map_or("none".into(), printable);
                write!(f, "{version} {cipher}, {name}, client certificate: {certificate}")
            }
            Event::TlsFailed { peer, server_name, reason } => {
                write!(f, "TLS HANDSHAKE FAILED with {peer}")?;
                server_name.iter().try_for_each(|name| write!(f, ", which asked for {}", printable(name)))?;
                write!(f, ": {}", printable(reason))
            }
            Event::Connect { peer, client_id, secure_mode, keep_alive_s, .. } => {
                let wants = match secure_mode {
                    Some(2) => "as a device (device secret)",
                    Some(3) => "to be activated (product secret)",
                    Some(4) => "as the integration channel (product secret)",
                    _ => "in an unknown secure mode",
                };
                write!(f, "CONNECT {wants} from {peer}, keepalive {keep_alive_s} s, client id {}", printable(client_id))
            }
            Event::Connack { code, reason: None } => write!(f, "CONNACK {code}"),
            Event::Connack { code, reason: Some(reason) } => write!(f, "CONNACK {code}: {}", printable(reason)),
            Event::Banned { rule: Rule::Window, for_ms } => {
                write!(f, "BANNED for {for_ms} ms: too many CONNECTs within the window")
            }
            Event::Banned { rule: Rule::Spacing, for_ms } => {
                write!(f, "BANNED for {for_ms} ms: a CONNECT too soon after the one before")
            }
            Event::ActivationPushed { topic, qos, bytes } => {
                write!(f, "activation pushed on {topic}, QoS {qos}, {bytes} bytes")
            }
            Event::ActivationReply { topic, code } => {
                write!(f, "activation answered on {}, code {}", printable(topic), optional(code))
            }
            Event::Activated => f.write_str("is active from now on"),
            Event::Subscribe { filters } => {
                f.write_str("SUBSCRIBE")?;
                for filter in filters {
                    let outcome = if filter.code == 0x80 { " REFUSED" } else { "" };
                    write!(f, " {} (QoS {}){outcome}", printable(&filter.filter), filter.qos)?;
                }
                Ok(())
            }
            Event::Unsubscribe { filters } => write!(f, "UNSUBSCRIBE {}", printable(&filters.join(" "))),
            Event::Publish { topic, qos, payload, .. } => {
                write!(f, "PUBLISH {} QoS {qos}: {payload}", printable(topic))
            }
            Event::Puback { packet_id } => write!(f, "PUBACK {packet_id} sent"),
            Event::PubackReceived { packet_id } => write!(f, "PUBACK {packet_id} received"),
            Event::Reply { id, code, message, unsent, .. } => {
                write!(f, "reply to id {}: code {code}", printable(id))?;
                if !message.is_empty() {
                    write!(f, ", {}", printable(message))?;
                }
                match unsent {
                    None => Ok(()),
                    Some(Unsent::NotSubscribed) => {
                        f.write_str(" (not sent: the device has not subscribed to its topic)")
                    }
                    Some(Unsent::Fault) => f.write_str(" (not sent: silenced by a fault)"),
                }
            }
            Event::Delivered { topic, qos, bytes } => {
                write!(f, "delivered {} QoS {qos}, {bytes} bytes", printable(topic))
            }
            Event::Command { topic, id, params } => {
                write!(f, "command {id} on {}: {}", printable(topic), cut(&params.to_string()))
            }
            Event::CommandReply { id, elapsed_ms, timed_out: true, .. } => {
                write!(f, "command {id} not answered within {elapsed_ms} ms")
            }
            Event::CommandReply { id, code, elapsed_ms, payload, .. } => {
                write!(f, "command {id} answered after {elapsed_ms} ms, code {}", optional(code))?;
                payload.iter().try_for_each(|payload| write!(f, ": {payload}"))
            }
            Event::StrayReply { topic, id, code, why, payload } => {
                let why = match why {
                    Stray::Twice => "the command was answered before",
                    Stray::Late => "the time for the answer was over",
                    Stray::Unknown => "no such command was sent",
                    Stray::NotLoggedIn => "the sub-device is not logged in here",
                };
                let id = id.as_deref().map_or("without id".into(), |id| format!("to id {}", cut(id)));
                write!(f, "STRAY ANSWER {id} on {}, code {}: {why}: {payload}", printable(topic), optional(code))
            }
            Event::CommandCached { topic, id, waiting } => {
                write!(f, "command {id} on {} is kept for the device, the {waiting}. of them", printable(topic))
            }
            Event::CommandsStuck { id } => {
                write!(f, "NO MORE COMMANDS: the answer to {id} came before the PUBACK of the command")
            }
            Event::Registered { gateway } => write!(f, "is registered by {}", printable(&gateway.to_string())),
            Event::TopologyAdd { gateway, code, message } => {
                write!(f, "topology of {}: ", printable(&gateway.to_string()))?;
                match code {
                    200 => f.write_str("added"),
                    code => write!(f, "NOT ADDED, code {code}, {}", printable(message)),
                }
            }
            Event::TopologyDelete { gateway } => {
                write!(f, "topology of {}: removed", printable(&gateway.to_string()))
            }
            Event::SubDeviceLogin { gateway, secure_mode, batch, code, message } => {
                let wants = if *secure_mode == 3 { " to be activated (product secret)" } else { "" };
                let how = if *batch { " in a batch" } else { "" };
                write!(f, "login{wants} through {}{how}: code {code}", printable(&gateway.to_string()))?;
                match message.is_empty() {
                    true => Ok(()),
                    false => write!(f, ", {}", printable(message)),
                }
            }
            Event::LoginBatch { size, logged_in, code } => {
                write!(f, "batch of {size} logins: {logged_in} are logged in, code {code}")
            }
            Event::BatchItems { devices } => write!(f, "batch with {} items accepted", devices.len()),
            Event::SubDeviceOffline { gateway, reason } => {
                write!(f, "is no longer logged in through {}: {}", printable(&gateway.to_string()), printable(reason))
            }
            Event::Upgrade(task) => {
                write!(f, "upgrade {} to {}: ", task.task, printable(&task.version))?;
                match &task.state {
                    TaskState::Created if task.on_request => f.write_str("waits until the device asks for it"),
                    TaskState::Created => f.write_str("waits for the device"),
                    TaskState::Pushed => f.write_str("sent"),
                    TaskState::Received => f.write_str("received"),
                    TaskState::InProgress { percent, desc } => write!(f, "{percent} %{}", words(desc)),
                    TaskState::Failed { code: -5, desc } => write!(f, "REFUSED by the device (-5){}", words(desc)),
                    TaskState::Failed { code, desc } => write!(f, "FAILED, {}{}", failure(*code), words(desc)),
                    TaskState::Succeeded => f.write_str("done, the device has reported this version"),
                    TaskState::Cancelled => f.write_str("cancelled"),
                }
            }
            Event::HttpRequest { method, path, range, code, .. } => {
                write!(f, "{} {}", printable(method), cut(path))?;
                range.iter().try_for_each(|range| write!(f, " {}", cut(range)))?;
                match code {
                    0 => f.write_str(": no answer"),
                    code => write!(f, ": {code}"),
                }
            }
            Event::HttpEnd { path, bytes, of } => {
                write!(f, "{}: {bytes}", cut(path))?;
                of.iter().try_for_each(|of| write!(f, " of {of}"))?;
                f.write_str(" bytes sent")
            }
            Event::Ping => f.write_str("PINGREQ"),
            Event::Disconnect => f.write_str("DISCONNECT"),
            Event::Closed { reason } => write!(f, "closed: {}", printable(reason)),
            Event::Fault { fault } => write!(f, "FAULT {fault}"),
            Event::StateNotSaved { reason } => write!(f, "the state file could not be written: {reason}"),
            Event::Summary { summary } => write!(f, "{summary}"),
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.text, &self.hex) {
            (Some(text), _) => f.write_str(&cut(text.get())),
            (None, Some(hex)) => write!(f, "{} bytes that are not JSON: {}", self.bytes, cut(hex)),
            (None, None) => write!(f, "{} bytes", self.bytes),
        }
    }
}

/// The device's own words.
fn words(desc: &str) -> String {
    if desc.is_empty() {
        String::new()
    } else {
        format!(": {}", cut(desc))
    }
}

/// What EnOS means by a negative step.
fn failure(code: i64) -> String {
    let meaning = match code {
        -1 => "",
        -2 => ", the download",
        -3 => ", the verification",
        -4 => ", the installation",
        _ => ", a reason of the device's own",
    };
    format!("{code}{meaning}")
}

fn optional(code: &Option<i64>) -> Value {
    code.map_or(Value::from("missing"), Value::from)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", printable(text.get(..end).unwrap_or_default())),
        None => printable(text),
    }
}

/// Text from a client must not control the terminal, forge a line, or change the direction of the text.
fn printable(text: &str) -> String {
    let steers = |c: char| {
        let separates = matches!(c, '\u{2028}' | '\u{2029}');
        let turns =
            matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || separates || turns
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::printable;
    use crate::{firmware::Task, Event, TaskState};

    #[test]
    fn an_upgrade_in_words() {
        let text = |state| {
            let task = Task { task: 7, version: "2\n".into(), on_request: true, state, offer: None };
            Event::Upgrade(task).to_string()
        };
        assert_eq!(text(TaskState::Created), "upgrade 7 to 2\u{fffd}: waits until the device asks for it");
        let failed = |code| text(TaskState::Failed { code, desc: "no\tspace".into() });
        assert!(failed(-4).ends_with("FAILED, -4, the installation: no\u{fffd}space"));
        assert!(failed(-5).ends_with("REFUSED by the device (-5): no\u{fffd}space"));
        assert!(failed(-40).contains("a reason of the device's own"));
    }

    #[test]
    fn terminal_controls_and_direction_marks_are_replaced() {
        assert_eq!(printable("é\n\u{1b}[2J\u{85}\u{2028}\u{202e}\u{2066}温"), "é��[2J����温");
    }
}
