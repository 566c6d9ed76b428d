//! What happens at a time of its own: commands that were not answered in time, and commands at random.

use std::{sync::Arc, time::Instant};

use crate::{
    commands::{random, Order},
    connection::Input,
    event::Event,
    login::Mode,
    shared::Shared,
    thing,
};

/// Runs until the cloud stops.
pub fn run(shared: &Arc<Shared>) {
    let mut next_random = shared.config.commands_every.map(|every| Instant::now() + every);
    while !shared.is_stopping() {
        shared.await_deadline(next_random);
        let now = Instant::now();
        expire(shared, now);
        if let (Some(every), Some(next)) = (shared.config.commands_every, next_random) {
            if now >= next {
                send_at_random(shared);
                next_random = Some(now + every);
            }
        }
    }
}

fn expire(shared: &Shared, now: Instant) {
    let expired = shared.commands().expire(now);
    for (device, waiting) in expired {
        let handle = shared.find_online(&device).map(|(handle, _)| handle);
        let topic = thing::answer_topic(&waiting.topic);
        let elapsed_ms = now.duration_since(waiting.sent).as_millis() as u64;
        let id = waiting.order.id;
        let event = Event::CommandReply { topic, id, code: None, elapsed_ms, timed_out: true, payload: None };
        shared.report(handle.as_ref().map(|handle| handle.number), Some(device), event);
        let Some(handle) = handle else { continue };
        match waiting.order.ends_session {
            Some(reason) => handle.close(reason),
            // A full inbox is tried again with the next answer.
            None => drop(handle.inbox.try_send(Input::Cached)),
        }
    }
}

/// One command to each device that is online.
fn send_at_random(shared: &Shared) {
    for device in shared.devices_online() {
        let Some((handle, Mode::Device)) = shared.find_online(&device) else { continue };
        let (suffix, params) = shared.with_random(random::command);
        // A connection that is busy has enough to do.
        let _ = handle.inbox.try_send(Input::Command(Order::new(shared.next_id(), &suffix, params)));
    }
}
