//! Reading pages, in whatever state the storage returns them.

use super::message::Bytes;
use super::page::{self, Page, Part};
use super::{Queue, Result};
use crate::protocol::outbox::PageFound;
use crate::protocol::Totals;
use crate::storage::record::Role;
use crate::storage::records::Value;

/// The record of a page.
pub(super) enum Loaded {
    None,
    /// The page, and the length of its data.
    Page(Page, u64),
    Unreadable(Unreadable),
}

pub(super) struct Unreadable {
    bytes: Bytes,
    words: String,
}

impl Queue {
    /// Reads a page. If the host fails, that is an error, and can be tried again. With `last_try`, the page then counts
    /// as lost if other records can be loaded. A page that cannot be read becomes a dead letter, so that a person can
    /// examine it.
    pub fn read(&mut self, page: u64, last_try: bool) -> Result<PageFound> {
        match self.find_at(page) {
            Err(error) if last_try && self.records.look(Role::Index(0)).is_ok() => {
                Ok(PageFound::Lost { next: page + 1, words: error.message })
            }
            Err(error) => Err(error),
            Ok((found, None)) => Ok(found),
            Ok((found, Some((at, bytes)))) => {
                // A failure here must not delay the other messages.
                let _ = self.keep_unreadable(at, &bytes);
                Ok(found)
            }
        }
    }

    /// Like [`read`](Self::read), but makes no dead letter.
    pub fn peek(&self, page: u64) -> Result<PageFound> {
        Ok(self.find_at(page)?.0)
    }

    /// What is at a page, and the bytes of a page that cannot be read. That may be a later page.
    fn find_at(&self, page: u64) -> Result<(PageFound, Option<(u64, Bytes)>)> {
        let next = page + 1;
        Ok(match self.load_page(page)? {
            Loaded::Page(Page::Whole { before, messages }, len) => {
                let after = before.plus(messages.len() as u64, len);
                (PageFound::Messages { next, after, messages }, None)
            }
            Loaded::Page(Page::Part { before, part }, len) if part.index == 0 => {
                return self.find_parts(page, before, part, len);
            }
            // The first part is missing, and that was reported there.
            Loaded::Page(Page::Part { .. }, _) => (PageFound::Nothing { next }, None),
            Loaded::None => (self.missing(page), None),
            Loaded::Unreadable(Unreadable { bytes, words }) => (PageFound::Lost { next, words }, Some((page, bytes))),
        })
    }

    /// The message whose first part is at `page`.
    fn find_parts(
        &self,
        page: u64,
        before: Totals,
        first: Part,
        mut len: u64,
    ) -> Result<(PageFound, Option<(u64, Bytes)>)> {
        let tail = self.ends.as_ref().map_or(0, |ends| ends.tail);
        let next = page + u64::from(first.of);
        let mut parts = vec![first];
        for at in page + 1..next {
            match self.load_page(at)? {
                Loaded::Page(Page::Part { part, .. }, more) if usize::from(part.index) == parts.len() && at < tail => {
                    len += more;
                    parts.push(part);
                }
                // Another message begins here.
                Loaded::Page(..) => {
                    let words = "a part of the message is missing".to_owned();
                    return Ok((PageFound::Lost { next: at, words }, None));
                }
                Loaded::None => return Ok((self.missing(at), None)),
                Loaded::Unreadable(Unreadable { bytes, words }) => {
                    return Ok((PageFound::Lost { next: at + 1, words }, Some((at, bytes))));
                }
            }
        }
        Ok(match page::join(&parts) {
            Ok(message) => {
                (PageFound::Messages { next, after: before.plus(1, len), messages: vec![Some(message)] }, None)
            }
            Err(error) => {
                let last = parts.pop().map(|part| (next - 1, part.bytes));
                (PageFound::Lost { next, words: error.to_string() }, last)
            }
        })
    }

    /// What to report for a page that does not exist.
    fn missing(&self, page: u64) -> PageFound {
        let next = page + 1;
        match self.ends.as_ref().is_some_and(|ends| page < ends.maybe_gone) {
            true => PageFound::Nothing { next },
            false => PageFound::Lost { next, words: "the storage has lost it".to_owned() },
        }
    }

    pub(super) fn load_page(&self, page: u64) -> Result<Loaded> {
        Ok(match self.records.look(Role::Page(page))? {
            Value::None => Loaded::None,
            Value::Whole(data) => match page::decode(&data) {
                Ok(page) => Loaded::Page(page, data.len() as u64),
                Err(error) => Loaded::Unreadable(Unreadable { words: error.to_string(), bytes: data }),
            },
            Value::Broken { bytes, words } => Loaded::Unreadable(Unreadable { bytes, words }),
        })
    }

    /// The totals before a page, and after it. `None`: the page cannot tell.
    pub(super) fn totals(&self, page: u64) -> Result<Option<(Totals, Totals)>> {
        Ok(match self.load_page(page)? {
            Loaded::Page(Page::Whole { before, messages }, len) => {
                Some((before, before.plus(messages.len() as u64, len)))
            }
            Loaded::Page(Page::Part { before, part }, len) => {
                let others = u64::from(part.of - 1) * self.records.capacity(Role::Page(u64::MAX)) as u64;
                Some((before, before.plus(1, others + len)))
            }
            Loaded::None | Loaded::Unreadable(_) => None,
        })
    }
}
