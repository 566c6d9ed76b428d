//! Posts of measure points that the host wants joined: those of the gateway and of its sub-devices are sent in one batch of
//! the gateway. Each has its own outcome, which is that of the batch.
//!
//! A post waits for others until its time is over, the batch is full, or no other call can be accepted. What is sent for
//! the same device meanwhile takes its waiting posts out of the batch, and goes behind them.
//!
//! EnOS may refuse a batch because of one item. Then posts are not joined for a while, longer each time, so that the others
//! do not suffer from it for long.

use std::collections::VecDeque;

use super::{End, Exchange, Kind, Outgoing, Owner, WaitsFor};
use crate::error::Result;
use crate::model::link::LinkRequest;
use crate::protocol::request::with_members;
use crate::protocol::{envelope, topic, Identity, Operation};
use crate::session::io::Action;
use crate::session::outbox::may_pass;
use crate::sorted::SortedMap;

const POST: Operation = Operation::ENOS_OP_MEASUREPOINT_POST;
const BATCH: Operation = Operation::ENOS_OP_MEASUREPOINT_POST_BATCH;

/// How many bytes the items of a batch may have. The rest is for the envelope.
const MAX_BYTES: usize = envelope::MAX_PAYLOAD - 1_024;
/// How long posts are not joined after a batch was refused.
const PAUSE_MIN_MS: u64 = 10_000;
const PAUSE_MAX_MS: u64 = 3_600_000;

/// A post that waits.
struct Post {
    token: u64,
    identity: Identity,
    params: Vec<u8>,
    /// The item of a batch.
    item: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Posts {
    waiting: Vec<Post>,
    /// Of all items that wait, and the flags that become members of their batch.
    bytes: usize,
    members: u32,
    /// The topic of the batch.
    topic: String,
    /// They wait no longer.
    until: u64,
    /// The tokens of the posts in each batch that was sent.
    sent: SortedMap<u64, Vec<u64>>,
    /// Posts are not joined before this time. `was_refused`: a batch was refused, so that this time is later.
    singly_until: u64,
    pause_ms: u64,
    was_refused: bool,
}

impl Posts {
    pub(super) fn link_down(&mut self) {
        (self.waiting, self.bytes) = (Vec::new(), 0);
        self.sent.clear();
    }

    /// Whether posts are joined at this time.
    fn join_at(&mut self, now: u64) -> bool {
        if std::mem::take(&mut self.was_refused) {
            self.pause_ms = (self.pause_ms * 2).clamp(PAUSE_MIN_MS, PAUSE_MAX_MS);
            self.singly_until = now.saturating_add(self.pause_ms);
        }
        now >= self.singly_until
    }

    /// Frees the memory of empty collections.
    pub(super) fn release(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        self.sent.release();
    }
}

/// The members that name the device of an item.
fn named(identity: &Identity) -> String {
    // A key is a text, which can always be written.
    let text = |key: &str| serde_json::to_string(key).unwrap_or_default();
    format!(r#""productKey":{},"deviceKey":{}"#, text(identity.product_key()), text(identity.device_key()))
}

impl Exchange {
    fn posts(&mut self) -> &mut Posts {
        &mut self.for_gateway().posts
    }

    /// Accepts a post that is to be joined with others. `own`: the identity of the gateway.
    pub fn join_post(
        &mut self,
        request: Outgoing,
        own: &Identity,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        let owner = Owner::Host(Kind::Message);
        let Outgoing { identity, subdevice, params, members, timeout_ms, user, .. } = request;
        let item = match subdevice {
            0 => params.to_vec(),
            _ => with_members(params, &named(identity)),
        };
        if !self.posts().join_at(now) || item.len() > MAX_BYTES {
            self.send_posts_of(subdevice, now, actions);
            return self.request(owner, Outgoing { members: 0, ..request }, now, actions);
        }
        envelope::check_size(POST.request(&u64::MAX.to_string(), "", params, 0)?.len())?;
        self.admit(owner)?;
        if self.posts().members != members || self.posts().bytes + item.len() > MAX_BYTES {
            self.send_posts(true, now, actions);
        }
        self.posts().topic = BATCH.topic(own, "");
        let topic = topic::reply_topic(&self.posts().topic);
        let timeout_ms = timeout_ms.unwrap_or(self.timeout_ms);
        let waits_for = WaitsFor::Joined { topic: topic.clone(), is_sent: false };
        let token = self.enter(owner, waits_for, Some(timeout_ms), now);
        self.label(token, POST, subdevice, user);
        self.need_reply_topic(&topic, 0, now, actions);
        // The reply needs some of its time.
        let until = now.saturating_add(self.join_ms.min(timeout_ms / 2));
        self.posts().until = if self.posts().waiting.is_empty() { until } else { self.posts().until.min(until) };
        self.posts().members = members;
        self.posts().bytes += item.len() + 1;
        self.posts().waiting.push(Post { token, identity: identity.clone(), params: params.to_vec(), item });
        Ok(token)
    }

    /// Sends the posts that have waited for long enough. `now_or_never`: all that wait.
    pub fn send_posts(&mut self, now_or_never: bool, now: u64, actions: &mut VecDeque<Action>) {
        if self.for_gateway.is_none() {
            return;
        }
        let may_join = self.posts().join_at(now);
        let is_due = now_or_never || now >= self.posts().until || !self.places[Kind::Message as usize].has_room();
        if self.posts().waiting.is_empty() || !is_due {
            return;
        }
        let topic = topic::reply_topic(&self.posts().topic);
        let is_granted = self.is_granted(&topic);
        if !is_granted && self.is_asked(&topic) && !now_or_never {
            return;
        }
        self.posts().bytes = 0;
        let mut posts = std::mem::take(&mut self.posts().waiting);
        // Some have timed out, or their sub-device is not online any more.
        posts.retain(|post| self.entries.get(&post.token).is_some());
        let payload = self.batch_of(&posts).filter(|_| may_join && is_granted && posts.len() > 1);
        let Some(payload) = payload else {
            return posts.into_iter().for_each(|post| self.send_singly(post, now, actions));
        };
        let timeout = |post: &Post| self.entries.get(&post.token).and_then(|entry| entry.timeout_ms);
        let timeout_ms = posts.iter().filter_map(timeout).max();
        let token = self.enter(Owner::Joined, WaitsFor::Reply { topic: topic.clone() }, timeout_ms, now);
        for post in &posts {
            if let Some(entry) = self.entries.get_mut(&post.token) {
                entry.waits_for = WaitsFor::Joined { topic: topic.clone(), is_sent: true };
            }
        }
        self.posts().sent.insert(token, posts.into_iter().map(|post| post.token).collect());
        // Its memory counts like that of a message.
        self.places[Kind::Message as usize].hold(token);
        let topic = self.posts().topic.clone();
        self.send(Owner::Joined, LinkRequest::Publish { token, topic, payload, qos: BATCH.row().qos }, actions);
    }

    fn batch_of(&mut self, posts: &[Post]) -> Option<Vec<u8>> {
        let items: Vec<&[u8]> = posts.iter().map(|post| &post.item[..]).collect();
        let params = [&b"["[..], &items.join(&b","[..]), b"]"].concat();
        BATCH.request(&(self.first_id + self.next_token).to_string(), "", &params, self.posts().members).ok()
    }

    /// Another message of this device follows: its waiting posts are sent before that.
    pub fn send_posts_of(&mut self, subdevice: u64, now: u64, actions: &mut VecDeque<Action>) {
        let is_its = |post: &Post| self.entries.get(&post.token).is_some_and(|entry| entry.subdevice == subdevice);
        let posts = self.for_gateway.as_deref_mut().map(|it| &mut it.posts);
        let Some(posts) = posts.filter(|posts| posts.waiting.iter().any(is_its)) else { return };
        let (its, others) = std::mem::take(&mut posts.waiting).into_iter().partition(is_its);
        posts.waiting = others;
        posts.bytes = posts.waiting.iter().map(|post| post.item.len() + 1).sum();
        Vec::into_iter(its).for_each(|post: Post| self.send_singly(post, now, actions));
    }

    /// As if it was not to be joined.
    fn send_singly(&mut self, post: Post, now: u64, actions: &mut VecDeque<Action>) {
        let Post { token, identity, params, .. } = post;
        let Ok(payload) = POST.request(&(self.first_id + token).to_string(), "", &params, 0) else { return };
        let topic = POST.topic(&identity, "");
        let reply_topic = topic::reply_topic(&topic);
        let is_granted = self.is_granted(&reply_topic);
        let mut request = Some(LinkRequest::Publish { token, topic, payload, qos: POST.row().qos });
        let Some(entry) = self.entries.get_mut(&token) else { return };
        entry.waits_for = match is_granted {
            true => WaitsFor::Reply { topic: reply_topic.clone() },
            false => WaitsFor::Filter { filter: reply_topic.clone(), request: request.take() },
        };
        let (owner, subdevice) = (entry.owner, entry.subdevice);
        self.need_reply_topic(&reply_topic, subdevice, now, actions);
        request.into_iter().for_each(|request| self.send(owner, request, actions));
    }

    /// When posts that wait are sent.
    pub(super) fn posts_until(&self) -> Option<u64> {
        let posts = self.for_gateway.as_ref().map(|it| &it.posts).filter(|posts| !posts.waiting.is_empty())?;
        (!self.is_asked(&topic::reply_topic(&posts.topic))).then_some(posts.until)
    }

    /// A batch has ended, and with it each of its posts.
    pub(super) fn batch_ended(&mut self, token: u64, end: End, actions: &mut VecDeque<Action>) {
        let Some(posts) = self.posts().sent.remove(&token) else { return };
        match &end {
            End::Replied { code: envelope::CODE_OK, .. } => self.posts().pause_ms = 0,
            End::Replied { code, .. } if !may_pass(*code) => self.posts().was_refused = true,
            _ => {}
        }
        posts.into_iter().for_each(|post| self.end(post, Some(end.clone()), actions));
    }
}
