//! Commands and their answers.

mod answers;
mod deadlines;
mod floods;
mod interrupted;
mod kinds;
mod links;
mod threads;

use std::sync::Mutex;

use serde_json::Value;
use support::broker::*;
use support::host::*;

/// A topic of the device.
fn topic(path: &str) -> String {
    format!("/sys/pk/dk/{path}")
}

/// The packet of a command with these bytes.
fn packet(path: &str, payload: &str, id: u16) -> Vec<u8> {
    publish(topic(path).as_bytes(), payload.as_bytes(), Some(id))
}

/// The payload of a command with this id.
fn envelope(id: &str) -> String {
    format!(r#"{{"id":{id},"version":"1.0","method":"m","params":{{"a":1}}}}"#)
}

/// Sends a command to the service x, and takes its acknowledgement.
fn command(peer: &mut Peer, id: &str) {
    peer.send(&packet("thing/service/x", &envelope(id), 7));
    assert_eq!(peer.expect(PUBACK).id(), 7);
}

fn json_of(packet: &Packet) -> Value {
    serde_json::from_slice(packet.payload()).unwrap()
}

/// The code of the next answer, which is acknowledged, and its id.
fn code_and_id(peer: &mut Peer) -> (i64, Value) {
    let mut said = json_of(&peer.answer_publish());
    (said["code"].as_i64().unwrap(), said["id"].take())
}

/// The command of the next event, which must be one.
#[track_caller]
fn kept(host: &mut Host) -> Command {
    host.until("COMMAND").command.unwrap()
}

/// What callbacks have collected.
type Notes<T> = std::sync::Arc<Mutex<Vec<T>>>;
