//! Downloads of firmware: enos_ota_download(), with a scripted web server.

mod calls;
mod faults;
mod nginx;
mod slow;
#[cfg(feature = "tls")]
mod tls;

use std::sync::Arc;

use enos::internals::error::Status;
use support::host::{Firmware, Host, Options, Setup, Slot, Told};
use support::http::{Asked, HttpServer, Step};

const BLOCK: usize = 65536;

/// A device that never connects, with short delays between the tries of a download.
fn device() -> Host {
    quick(Setup::device("127.0.0.1:1".parse().unwrap())).start()
}

fn quick(setup: Setup) -> Setup {
    setup.reconnect(100, 200)
}

/// A server of this image, whose answers a script makes.
fn serve(
    image: &[u8],
    script: impl Fn(&Asked, usize, &[u8]) -> Vec<Step> + Send + Sync + 'static,
) -> (HttpServer, Firmware) {
    let shared: Arc<[u8]> = image.into();
    let server = HttpServer::new(move |asked, number| script(asked, number, &shared));
    let firmware = Firmware::of(&server.url(), image);
    (server, firmware)
}

/// Downloads to the slot. The outcome is consistent with what the sink was told.
#[track_caller]
fn fetch(host: &mut Host, firmware: &Firmware, slot: &Slot, options: &Options) -> Told {
    let token = host.download(firmware, slot, options).unwrap();
    let told = host.download_outcome(token);
    let state = slot.state();
    assert_eq!(state.failed, (told.status != Status::ENOS_OK).then_some(told.status));
    assert_eq!(state.begun, 1);
    told
}
