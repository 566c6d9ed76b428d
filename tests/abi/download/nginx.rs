//! A web server that nobody here wrote: ranges, and TLS.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use enos::internals::error::Status;
use support::host::{image, Firmware, Options, Slot};
use support::nginx::Nginx;

use super::{device, fetch, BLOCK};

/// Passes connections on to a server, and ends each one when all together have brought one more block.
fn cutter(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let brought = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(to).unwrap());
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut up, &mut down));
            let brought = Arc::clone(&brought);
            std::thread::spawn(move || {
                let end = (number + 1) * (BLOCK + 300);
                let mut buffer = [0; 4096];
                while let Ok(len @ 1..) = server.read(&mut buffer) {
                    if client.write_all(&buffer[..len]).is_err() {
                        break;
                    }
                    if brought.fetch_add(len, Ordering::SeqCst) + len >= end {
                        break;
                    }
                }
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    address
}

#[test]
fn after_a_cut_at_each_block_nothing_is_fetched_twice() {
    let image = image(50 * BLOCK);
    // Compression is on, and must not be used.
    let Some(server) = Nginx::start(None, "gzip on; gzip_types application/octet-stream;") else { return };
    std::fs::write(server.file("image"), &image).unwrap();
    let url = format!("http://{}/image", cutter(server.address()));
    let (mut host, slot) = (device(), Slot::default());
    assert_eq!(fetch(&mut host, &Firmware::of(&url, &image), &slot, &Options::default()).status, Status::ENOS_OK);
    assert!(slot.state().bytes == image);
    let bytes: usize = slot.state().blocks.iter().map(|(_, len)| len).sum();
    assert_eq!(bytes, image.len(), "nothing came twice");
    let log = server.log();
    assert!(log.len() >= 40, "{log:?}");
    assert!(log[1..].iter().all(|one| one.status == 206 && one.range.starts_with("bytes=")), "{log:?}");
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_fetched_from_its_beginning() {
    let image = image(4 * BLOCK);
    let Some(server) = Nginx::start(None, "") else { return };
    let old: Vec<u8> = image.iter().map(|byte| !byte).collect();
    std::fs::write(server.file("image"), &old).unwrap();
    let url = format!("http://{}/image", cutter(server.address()));
    let (mut host, slot) = (device(), Slot::default());
    slot.state().block_result = support::host::LATER;
    let token = host.download(&Firmware::of(&url, &image), &slot, &Options::default()).unwrap();
    slot.wait(|state| state.blocks.len() == 1);
    std::fs::write(server.file("new"), &image).unwrap();
    std::fs::rename(server.file("new"), server.file("image")).unwrap();
    slot.state().block_result = 0;
    assert_eq!(host.continue_download(token, 0), Status::ENOS_OK);
    assert_eq!(host.download_outcome(token).status, Status::ENOS_OK);
    assert!(slot.state().bytes == image);
}

#[cfg(feature = "tls")]
#[test]
fn over_tls_from_what_is_there() {
    use support::host::Setup;
    use support::tls::Pki;

    let (pki, image) = (Pki::new(), image(5 * BLOCK + 1));
    let Some(server) = Nginx::start(Some(&pki), "") else { return };
    std::fs::write(server.file("image"), &image).unwrap();
    let mut host = super::quick(Setup::device("127.0.0.1:1".parse().unwrap())).tls(Some(&pki.ca()), None).start();
    let slot = Slot::with(&image[..2 * BLOCK]);
    let told = fetch(&mut host, &Firmware::of(&server.url("image"), &image), &slot, &Options::default());
    assert_eq!(told.status, Status::ENOS_OK, "{told:?}");
    assert!(slot.state().bytes == image);
    assert_eq!(server.log()[0].range, "bytes=131072-");
}
