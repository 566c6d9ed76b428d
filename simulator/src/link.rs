//! The sending half of a connection: everything that is sent passes the faults first.

mod handshake;

pub use handshake::{Heard, Tls};

use bytes::Bytes;
use mqttbytes::v4::Publish;
use std::{
    collections::{HashMap, VecDeque},
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::mpsc::SyncSender,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    connection::Input,
    event::{Event, Unsent},
    fault::{Action, Fault, Kind, Phase},
    packet::Outgoing,
    shared::Reporter,
    thing::UPGRADE,
    DeviceId,
};

/// Bytes in one read. With the inbox's length this limits the input that waits for a busy connection.
const CHUNK: usize = 4096;

/// The limit of packets that a fault delays in a connection.
const DELAYED: usize = 1024;

/// The connection has ended; the text is the reason.
#[derive(Debug)]
pub struct Closed(pub String);

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Closed {
        Closed(format!("the peer does not read ({error})"))
    }
}

/// A packet to send, and the event that is reported when it is sent.
#[derive(Debug)]
pub struct Item {
    pub kind: Kind,
    pub packet: Outgoing,
    pub event: Option<Event>,
    /// The sub-device that it is for, if it is not for the device of the connection.
    pub sub_device: Option<DeviceId>,
    copies: usize,
    /// A fault repeats this command so often.
    pub storm: usize,
    to_do: VecDeque<Fault>,
}

impl Item {
    pub fn new(kind: Kind, packet: Outgoing, event: Option<Event>) -> Item {
        Item { kind, packet, event, sub_device: None, copies: 1, storm: 0, to_do: VecDeque::new() }
    }

    /// The same for a sub-device.
    pub fn of(self, sub_device: Option<DeviceId>) -> Item {
        Item { sub_device, ..self }
    }
}

/// Passes on received data unchanged until the link ends; [`Link::receive`] decrypts it.
pub fn read_into(mut stream: &TcpStream, inbox: &SyncSender<Input>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let input = match stream.read(&mut chunk) {
            Ok(0) => Input::End("by the peer".into()),
            Ok(n) => Input::Bytes(Bytes::copy_from_slice(chunk.get(..n).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Input::End(format!("by the peer ({error})")),
        };
        let end = matches!(input, Input::End(_));
        if inbox.send(input).is_err() || end {
            return;
        }
    }
}

/// The sending half of a connection, and its counters for faults.
pub struct Link {
    stream: Arc<TcpStream>,
    faults: Arc<[Fault]>,
    moments: HashMap<(Phase, Kind), u64>,
    /// Packets that faults delay, in the order in which they were to be sent.
    delayed: VecDeque<(Instant, Item)>,
    /// The number of this connection among those of its device, from 1.
    pub ordinal: u64,
    pub reporter: Reporter,
    tls: Option<Tls>,
    /// A fault limits the publications with QoS 1 that wait for their PUBACK.
    pub window: Option<usize>,
    /// A fault: an answer before the PUBACK of its command stops the commands.
    pub wedges: bool,
    /// The id of the last command.
    pub last_command: Option<String>,
    /// The peer does not read, so nothing more is sent.
    is_broken: bool,
}

impl Link {
    pub fn new(
        stream: Arc<TcpStream>,
        faults: Arc<[Fault]>,
        reporter: Reporter,
        ordinal: u64,
        tls: Option<Tls>,
    ) -> Link {
        let (moments, delayed) = (HashMap::new(), VecDeque::new());
        Link {
            stream,
            faults,
            moments,
            delayed,
            ordinal,
            reporter,
            tls,
            window: None,
            wedges: false,
            last_command: None,
            is_broken: false,
        }
    }

    /// Applies the faults of a received packet; false if the packet has to be ignored.
    pub fn got(&mut self, kinds: &[Kind]) -> Result<bool, Closed> {
        self.pass(Phase::Got, kinds)
    }

    /// Applies the faults of a moment other than sending a packet; false if one of them is silence.
    fn pass(&mut self, phase: Phase, kinds: &[Kind]) -> Result<bool, Closed> {
        let faults = self.faults_at(phase, kinds);
        self.commit_all(faults)
    }

    fn commit_all(&mut self, faults: Vec<Fault>) -> Result<bool, Closed> {
        let mut heard = true;
        for fault in faults {
            self.reporter.report(Event::Fault { fault: fault.to_string() });
            match &fault.action {
                Action::Silence => heard = false,
                action => self.commit(action)?,
            }
        }
        Ok(heard)
    }

    /// Applies the faults of a packet that is to be sent. Returns what is to be sent now; nothing if a fault drops or
    /// delays it.
    pub fn clear(&mut self, mut item: Item) -> Result<Option<Item>, Closed> {
        item.to_do = self.faults_at(Phase::Before, &kinds_of(&item)).into();
        self.go_on(item)
    }

    /// When the next delayed packet is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.iter().map(|(due, _)| *due).min()
    }

    /// The next delayed packet that is due.
    pub fn clear_due(&mut self) -> Result<Option<Item>, Closed> {
        let now = Instant::now();
        let next = self.delayed.iter().position(|(due, _)| *due <= now);
        match next.and_then(|next| self.delayed.remove(next)) {
            Some((_, item)) => self.go_on(item),
            None => Ok(None),
        }
    }

    /// Sends a packet that has passed the faults.
    pub fn transmit(&mut self, item: &Item) -> Result<(), Closed> {
        let bytes = item.packet.encode();
        for _ in 0..item.copies {
            self.write(&bytes)?;
        }
        self.pass(Phase::After, &kinds_of(item)).map(drop)
    }

    /// Puts bytes on the wire.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.is_broken {
            return Err(Closed("the peer does not read".into()));
        }
        let put = (&*self.stream).write_all(bytes);
        self.is_broken = put.is_err();
        put.map_err(Closed::from)
    }

    pub fn shut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn go_on(&mut self, mut item: Item) -> Result<Option<Item>, Closed> {
        while let Some(fault) = item.to_do.pop_front() {
            self.reporter.report(Event::Fault { fault: fault.to_string() });
            match &fault.action {
                Action::Silence => {
                    // The request was checked, even if the device gets no reply.
                    if let Some(Event::Reply { topic, id, code, message, .. }) = item.event.take() {
                        let unsent = Some(Unsent::Fault);
                        let event = Event::Reply { topic, id, code, message, sent: false, unsent };
                        self.reporter.report_of(item.sub_device.as_ref(), event);
                    }
                    return Ok(None);
                }
                Action::Delay(_) if self.delayed.len() >= DELAYED => {
                    return Err(Closed("the peer asks for more than a fault can hold back".into()))
                }
                Action::Delay(time) => {
                    self.delayed.push_back((Instant::now() + *time, item));
                    return Ok(None);
                }
                Action::Twice => item.copies = 2,
                Action::Storm(times) => item.storm = *times,
                Action::SameId => self.repeat_id(&mut item),
                Action::Close | Action::Reset | Action::Raw(_) | Action::Window(_) | Action::Wedge => {
                    self.commit(&fault.action)?;
                }
                change => self.reporter.with_random(|random| spoil(&mut item, change, random)),
            }
        }
        Ok(Some(item))
    }

    /// Gives a command the id of the one before it.
    fn repeat_id(&self, item: &mut Item) {
        if let (Outgoing::Publish(publish), Some(id)) = (&mut item.packet, &self.last_command) {
            set(publish, "id", id.clone().into());
        }
    }

    /// Counts a moment and finds its faults. All counters go on, whatever a fault does.
    fn faults_at(&mut self, phase: Phase, kinds: &[Kind]) -> Vec<Fault> {
        let mut found = Vec::new();
        for kind in kinds {
            let n = self.moments.entry((phase, *kind)).or_default();
            *n += 1;
            found.extend(self.faults.iter().filter(|fault| fault.applies(phase, *kind, *n, self.ordinal)).cloned());
        }
        found
    }

    /// Applies an action that is possible at any moment.
    fn commit(&mut self, action: &Action) -> Result<(), Closed> {
        match action {
            Action::Raw(bytes) => self.write(bytes),
            Action::Delay(time) => {
                self.reporter.pause(*time);
                Ok(())
            }
            Action::Window(window) => {
                self.window = Some(*window);
                Ok(())
            }
            Action::Wedge => {
                self.wedges = true;
                Ok(())
            }
            Action::Close => Err(Closed("by a fault".into())),
            Action::Reset => {
                set_reset_on_close(&self.stream);
                Err(Closed(RESET.into()))
            }
            _ => Ok(()),
        }
    }
}

/// The reason of a link that a fault resets; it must not be shut down normally.
pub const RESET: &str = "by a fault, with a reset";

/// Makes close() send RST instead of FIN.
fn set_reset_on_close(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn kinds_of(item: &Item) -> Vec<Kind> {
    match &item.packet {
        Outgoing::Publish(publish) if item.kind == Kind::Command && publish.topic.ends_with(UPGRADE) => {
            vec![Kind::Offer, Kind::Command, Kind::Publish, Kind::Any]
        }
        Outgoing::Publish(_) if matches!(item.kind, Kind::Login | Kind::Batch | Kind::Offer) => {
            vec![item.kind, Kind::Reply, Kind::Publish, Kind::Any]
        }
        Outgoing::Publish(_) if item.kind != Kind::Publish => vec![item.kind, Kind::Publish, Kind::Any],
        _ => vec![item.kind, Kind::Any],
    }
}

/// Changes a packet that is about to be sent, and its event.
fn spoil(item: &mut Item, change: &Action, random: &mut fastrand::Rng) {
    match (&mut item.packet, change) {
        (Outgoing::ConnAck(code), Action::Code(new)) => {
            *code = u8::try_from(*new).unwrap_or(u8::MAX);
            item.event = Some(Event::Connack { code: *code, reason: Some("a fault".into()) });
        }
        (Outgoing::SubAck(_, codes), Action::Code(new)) => codes.fill(u8::try_from(*new).unwrap_or(u8::MAX)),
        (Outgoing::Publish(publish), change) => {
            spoil_publish(publish, change, random);
            let bytes_now = publish.payload.len();
            match (&mut item.event, change) {
                (Some(Event::ActivationPushed { topic, bytes, .. }), _) => {
                    topic.clone_from(&publish.topic);
                    *bytes = bytes_now;
                }
                (Some(Event::Reply { code, message, .. }), Action::Code(new)) => {
                    *code = *new;
                    *message = "a fault".into();
                }
                _ => {}
            }
        }
        _ => {}
    }
}

fn spoil_publish(publish: &mut Publish, change: &Action, random: &mut fastrand::Rng) {
    match change {
        Action::Spoil(spoil) => spoil.apply(publish),
        Action::Payload(text) => publish.payload = text.clone().into(),
        Action::Garbage(bytes) => {
            let mut garbage = vec![0; *bytes];
            random.fill(&mut garbage);
            publish.payload = garbage.into();
        }
        Action::Code(code) => set(publish, "code", (*code).into()),
        _ => {}
    }
}

/// Sets a member of an envelope.
pub fn set(publish: &mut Publish, name: &str, value: serde_json::Value) {
    if let Ok(mut body @ serde_json::Value::Object(_)) = serde_json::from_slice(&publish.payload) {
        body[name] = value;
        publish.payload = body.to_string().into();
    }
}
