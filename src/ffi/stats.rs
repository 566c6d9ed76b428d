//! The counters of a client, a part of the chapter on the client.

use std::mem::{offset_of, size_of};

use super::guard::on_client;
use super::handle::enos_client;
use super::input::Versioned;
use super::output::StructOut;
use super::status::enos_status;

/// The counters of a client since it was created. Later versions of this struct are longer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_stats {
    /// sizeof(enos_stats); ENOS_INIT() sets it.
    pub struct_size: usize,
    /// Bytes that the system has accepted for sending, TLS and MQTT included.
    pub bytes_sent: u64,
    /// Bytes that were received, TLS and MQTT included.
    pub bytes_received: u64,
    /// Messages that were sent. Each PUBLISH counts, also one that is sent again.
    pub messages_sent: u64,
    /// Messages that were received, without those that were dropped.
    pub messages_received: u64,
    /// Messages that were received and dropped (ENOS_EVENT_OVERFLOW).
    pub messages_dropped: u64,
    /// Attempts to connect, from the look-up of the name on.
    pub attempts: u64,
    /// Logins that the broker accepted, those of an activation included.
    pub connects: u64,
    /// Connections that ended unexpectedly after an accepted login.
    pub losses: u64,
    /// The return code of the last CONNACK; -1 if there was none yet.
    pub last_connack: i32,
    /// How long the broker took to answer one of the last requests (a QoS 1 publish or a subscribe), in milliseconds,
    /// including the time that request and answer waited in queues; 0 if none was measured yet.
    pub round_trip_ms: u32,
    /// Commands that were handed over (ENOS_EVENT_COMMAND).
    pub commands: u64,
    /// Commands that were not handed over (ENOS_EVENT_OVERFLOW with ENOS_ERR_REFUSED).
    pub commands_refused: u64,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_stats {
    const NAME: &'static str = "enos_stats";
    /// Its size in the version that introduced it.
    const V0_1: usize = offset_of!(enos_stats, commands);
}

/// Returns the client's counters. It never waits, and is legal in every event callback.
///
/// @param client  the client.
/// @param out     made with ENOS_INIT(); receives the numbers.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
#[no_mangle]
pub unsafe extern "C" fn enos_client_stats(client: *mut enos_client, out: *mut enos_stats) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let out = StructOut::new(out, "out")?;
            let stats = client.stats();
            out.set(enos_stats {
                struct_size: size_of::<enos_stats>(),
                bytes_sent: stats.bytes_sent,
                bytes_received: stats.bytes_received,
                messages_sent: stats.messages_sent,
                messages_received: stats.messages_received,
                messages_dropped: stats.messages_dropped,
                attempts: stats.attempts,
                connects: stats.connects,
                losses: stats.losses,
                last_connack: stats.last_connack,
                round_trip_ms: stats.round_trip_ms,
                commands: stats.commands,
                commands_refused: stats.commands_refused,
            });
            Ok(())
        })
    }
}
