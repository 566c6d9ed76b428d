//! Downloads: one at a time, on a thread of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::{callback, Client};
use crate::config::Config;
use crate::download::control::Control;
use crate::download::retry::Delays;
use crate::download::sink::{Answer, Sink};
use crate::download::task::{Clock, Report, Task};
use crate::download::transfer::{Failure, Stage, Transfer};
use crate::download::url::Origin;
use crate::download::Order;
use crate::error::{Error, Result, Status};
use crate::log;
use crate::session::ota::Offer;
use crate::session::{Event, EventKind};
use crate::transport::http::{self, Http};
use crate::transport::tls::TlsSettings;
use crate::transport::{clock, thread};

/// The stack of a download's thread. libcurl and the host's sink run on it.
const STACK: usize = 256 * 1024;
/// The delays between tries when the client has none (enos_config_set_reconnect()).
const DELAYS: Delays = Delays { min_ms: 1_000, max_ms: 120_000 };
/// EnOS is told each so many percent.
const REPORT_PERCENT: i32 = 5;
/// The step of a report when the image could not be fetched.
const NOT_DOWNLOADED: i32 = -2;
/// The last percent before the outcome.
const ALMOST: i32 = 99;

/// What the host wants to have.
pub struct Wanted {
    pub offer: Arc<Offer>,
    /// In place of the offer's.
    pub url: Option<String>,
    pub headers: Vec<String>,
    /// 0: no limit.
    pub bytes_per_s: u32,
    /// 0: three times the size.
    pub max_bytes: u64,
    pub stall_ms: u64,
    /// Also an image that has failed before.
    pub retry_failed: bool,
}

/// The client's settings for downloads, and the one that runs.
pub(super) struct Downloads {
    /// `None`: nothing was set.
    tls: Option<Arc<TlsSettings>>,
    connect_timeout_ms: u32,
    interface: Option<Box<str>>,
    /// 0: none.
    reconnect_min_ms: u32,
    reconnect_max_ms: u32,
    /// `None` until the first download.
    present: Mutex<Option<Box<Present>>>,
}

#[derive(Default)]
struct Present {
    running: Option<(u64, Arc<Control>)>,
    /// The thread of the running or of the last download.
    thread: Option<JoinHandle<()>>,
}

impl Downloads {
    pub fn new(config: &Config) -> Downloads {
        Downloads {
            tls: config.has_tls_settings().then(|| Arc::clone(&config.tls)),
            connect_timeout_ms: config.connect_timeout_ms,
            interface: config.bind_interface.as_deref().map(Box::from),
            reconnect_min_ms: config.reconnect_min_ms,
            reconnect_max_ms: config.reconnect_max_ms,
            present: Mutex::default(),
        }
    }

    fn delays(&self) -> Delays {
        match (u64::from(self.reconnect_min_ms), u64::from(self.reconnect_max_ms)) {
            (_, 0) => DELAYS,
            (min_ms, max_ms) => Delays { min_ms, max_ms },
        }
    }

    fn present(&self) -> MutexGuard<'_, Option<Box<Present>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control(&self, token: u64) -> Result<Arc<Control>> {
        let present = self.present();
        let running = present.as_ref().and_then(|present| present.running.as_ref());
        let running = running.filter(|(running, _)| *running == token);
        running.map(|(_, control)| Arc::clone(control)).ok_or_else(|| {
            Error::new(Status::ENOS_ERR_NOT_FOUND, format!("no download with the token {token} is under way"))
        })
    }

    fn http(&self, wanted: &Wanted) -> Http {
        Http::new(http::Settings {
            tls: self.tls.clone().unwrap_or_default(),
            connect_timeout_ms: u64::from(self.connect_timeout_ms),
            interface: self.interface.as_deref().map(str::to_owned),
            bytes_per_s: u64::from(wanted.bytes_per_s),
        })
    }
}

impl Client {
    /// Begins a download. `sink` is made for the control of this download, by which the host continues it. `accepted` gets
    /// the token before the sink is called.
    ///
    /// `ENOS_ERR_STATE` if another one runs, or the slot is not free; `ENOS_ERR_INVALID_ARG` and `ENOS_ERR_UNSUPPORTED`
    /// for a URL or a digest with which nothing can be done.
    pub fn download<S: Sink + Send + 'static>(
        self: &Arc<Self>,
        wanted: Wanted,
        sink: impl FnOnce(Arc<Control>) -> S,
        accepted: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let transfer = self.transfer(&wanted)?;
        self.may_download(wanted.offer.subdevice, &wanted.offer.firmware, wanted.retry_failed)?;
        let control = Arc::new(Control::default());
        let token = self.session()?.download_token();
        let mut present = self.downloads.present();
        let present = present.get_or_insert_default();
        if present.running.is_some() {
            return Err(Error::new(Status::ENOS_ERR_STATE, "another download of this client is under way"));
        }
        // It has had its outcome, and uses nothing that is locked here.
        present.thread.take().map(JoinHandle::join);
        accepted(token);
        let (client, sink, running) = (Arc::clone(self), sink(Arc::clone(&control)), Arc::clone(&control));
        let run = move || client.run_download(token, wanted, transfer, sink, &control);
        present.thread = Some(thread::spawn("enos-ota", STACK, run)?);
        present.running = Some((token, running));
        Ok(())
    }

    /// Answers a call of the sink that was put off.
    pub fn continue_download(&self, token: u64, result: i32) -> Result<()> {
        self.downloads.control(token)?.answer(result)
    }

    pub fn cancel_download(&self, token: u64) -> Result<()> {
        self.downloads.control(token)?.cancel()
    }

    /// Ends the download, and waits for its thread.
    pub(super) fn stop_download(&self) {
        let (running, thread) = {
            let mut present = self.downloads.present();
            let present = present.as_deref_mut();
            present.map(|present| (present.running.clone(), present.thread.take())).unwrap_or_default()
        };
        if let Some((_, control)) = running {
            control.stop();
        }
        thread.map(JoinHandle::join);
    }

    fn transfer(&self, wanted: &Wanted) -> Result<Transfer> {
        let firmware = &wanted.offer.firmware;
        let order = Order {
            url: wanted.url.as_ref().unwrap_or(&firmware.url).clone(),
            headers: wanted.headers.clone(),
            size: firmware.size,
            sign_method: firmware.sign_method.clone(),
            sign: firmware.sign.clone(),
            max_bytes: wanted.max_bytes,
        };
        let https = Origin::of(&order.url)?.https;
        http::check(https)?;
        let transfer = Transfer::new(order, self.downloads.delays(), fastrand::u64(..), clock::boottime_ms())?;
        if !https && transfer.is_md5() {
            log::warn(
                "ota",
                format_args!(
                    "the image comes over http:// and is checked with MD5: that finds damage, but no forgery; check a \
                     signature before you install it"
                ),
            );
        }
        Ok(transfer)
    }

    fn run_download<S: Sink>(
        self: Arc<Self>,
        token: u64,
        wanted: Wanted,
        transfer: Transfer,
        sink: S,
        control: &Control,
    ) {
        let fetch = self.downloads.http(&wanted);
        control.set_wake(fetch.waker());
        let mut listener = Listener { client: &self, wanted: &wanted, token, told: -1, reported: 0 };
        let task = Task {
            transfer,
            stall_ms: wanted.stall_ms,
            fetch,
            sink: &mut Guarded(sink),
            report: &mut listener,
            control,
            clock: &Clocks(control),
        };
        // A panic is an outcome as well.
        let result = crate::panic::catch(|| task.run());
        let result = result.unwrap_or_else(|error| Err(Failure { error, code: 0, stage: Stage::Download }));
        if let Some(present) = self.downloads.present().as_deref_mut() {
            present.running = None;
        }
        self.tell_outcome(token, &wanted, result);
    }

    fn tell_outcome(&self, token: u64, wanted: &Wanted, result: std::result::Result<(), Failure>) {
        let event = match result {
            Ok(()) => {
                Event { detail_code: 100, ..Event::new(EventKind::Ota, Status::ENOS_OK, "the image is verified") }
            }
            Err(Failure { error: Error { status, message }, code, stage }) => {
                if let Some(step) = step(status, stage) {
                    self.report(wanted, step, &message);
                }
                Event { detail_code: code, ..Event::new(EventKind::Ota, status, message) }
            }
        };
        let (offer, subdevice) = (Arc::clone(&wanted.offer), wanted.offer.subdevice);
        // Only after a panic the client takes no event.
        let _ = self.tell_of_download(Event { token, subdevice, firmware: Some(offer), ..event });
    }

    fn report(&self, wanted: &Wanted, step: i32, words: &str) {
        let Offer { firmware, subdevice, .. } = &*wanted.offer;
        let Err(error) = self.report_update(*subdevice, firmware, step, words, &mut |_| {}) else { return };
        log::write(log::Level::Info, "ota", format_args!("EnOS is not told of step {step}: {error}"));
        if step < 0 {
            // The offer has ended nevertheless.
            let _ = self.tell(|session, now| {
                session.firmware_ended(now, *subdevice, firmware, step != NOT_DOWNLOADED);
                Ok(())
            });
        }
    }
}

/// What EnOS is told of a failure. `None`: the host can still go on with this offer.
fn step(status: Status, stage: Stage) -> Option<i32> {
    match (status, stage) {
        (Status::ENOS_ERR_CANCELLED | Status::ENOS_ERR_REFUSED, _) => None,
        (_, Stage::Download) => Some(NOT_DOWNLOADED),
        (_, Stage::Verification) => Some(-3),
        (_, Stage::Writing) => Some(-4),
    }
}

/// Tells the host and EnOS of the progress.
struct Listener<'a> {
    client: &'a Client,
    wanted: &'a Wanted,
    token: u64,
    /// In percent.
    told: i32,
    reported: i32,
}

impl Report for Listener<'_> {
    fn progress(&mut self, bytes: u64) {
        let Offer { firmware, subdevice, .. } = &*self.wanted.offer;
        let percent = match firmware.size {
            0 => 0,
            size => (u128::from(bytes) * 100 / u128::from(size)) as i32,
        };
        let percent = percent.min(ALMOST);
        if percent == self.told {
            return;
        }
        self.told = percent;
        let event = Event { detail_code: percent, ..Event::new(EventKind::Ota, Status::ENOS_OK, "") };
        let firmware = Some(Arc::clone(&self.wanted.offer));
        let _ = self.client.tell_of_download(Event { token: self.token, subdevice: *subdevice, firmware, ..event });
        if percent >= self.reported + REPORT_PERCENT {
            self.reported = percent;
            self.client.report(self.wanted, percent, "");
        }
    }

    fn verified(&mut self) -> Result<()> {
        let Offer { firmware, subdevice, .. } = &*self.wanted.offer;
        self.client.firmware_verified(*subdevice, firmware)
    }
}

/// The host's sink. It is a callback: some calls are refused in it.
struct Guarded<S>(S);

impl<S: Sink> Guarded<S> {
    fn call<T>(&mut self, call: impl FnOnce(&mut S) -> T) -> T {
        callback::run(|| call(&mut self.0))
    }
}

impl<S: Sink> Sink for Guarded<S> {
    fn begin(&mut self) -> Answer<u64> {
        self.call(S::begin)
    }

    fn block(&mut self, offset: u64, bytes: &[u8]) -> Answer<()> {
        self.call(|sink| sink.block(offset, bytes))
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Answer<()> {
        self.call(|sink| sink.read(offset, buffer))
    }

    fn verified(&mut self) -> Answer<()> {
        self.call(S::verified)
    }

    fn failed(&mut self, status: Status) {
        self.call(|sink| sink.failed(status));
    }
}

struct Clocks<'a>(&'a Control);

impl Clock for Clocks<'_> {
    fn now(&self) -> u64 {
        clock::boottime_ms()
    }

    fn wall(&self) -> u64 {
        clock::wall_ms()
    }

    fn sleep(&self, ms: u64) -> bool {
        self.0.sleep(ms)
    }
}
