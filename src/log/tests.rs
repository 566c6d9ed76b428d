use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// The log is the process's: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    set(None, Level::Error);
    one
}

/// A sink, and the records of these tests that reached it (other tests of the process may log at the same time).
fn collector() -> (Sink, mpsc::Receiver<(Level, String)>) {
    let (sender, receiver) = mpsc::channel();
    let sink: Sink = Box::new(move |record| {
        if record.target == "test" || record.target == "log" {
            sender.send((record.level, record.message.clone())).unwrap();
        }
    });
    (sink, receiver)
}

#[test]
fn records_wait_for_deliver_and_keep_their_order() {
    let _one = alone();
    let (sink, got) = collector();
    set(Some(sink), Level::Info);
    write(Level::Info, "test", format_args!("first"));
    write(Level::Debug, "test", format_args!("too fine"));
    error("test", format_args!("second"));
    assert!(got.try_recv().is_err(), "nothing runs before deliver()");
    deliver();
    let all: Vec<_> = got.try_iter().collect();
    assert_eq!(all, [(Level::Info, "first".to_owned()), (Level::Error, "second".to_owned())]);
    set(None, Level::Error);
}

#[test]
fn one_delivery_is_bounded_and_says_that_there_is_more() {
    let _one = alone();
    let (sink, got) = collector();
    set(
        Some(Box::new(move |record| {
            sink(record);
            // As other threads do while this one delivers.
            write(Level::Info, "test", format_args!("more"));
        })),
        Level::Info,
    );
    write(Level::Info, "test", format_args!("first"));
    for _ in 0..2 {
        assert!(deliver());
        assert!(got.try_iter().count() <= QUEUE_LEN + 1);
    }
    set(None, Level::Error);
    assert!(!deliver());
}

#[test]
fn off_means_that_nothing_is_kept() {
    let _one = alone();
    error("test", format_args!("nobody listens"));
    let (sink, got) = collector();
    set(Some(sink), Level::Trace);
    deliver();
    assert_eq!(got.try_iter().count(), 0);
    set(None, Level::Error);
}

#[test]
fn an_overflow_is_counted_and_told() {
    let _one = alone();
    let (sink, got) = collector();
    set(Some(sink), Level::Warn);
    for n in 0..QUEUE_LEN + 5 {
        warn("test", format_args!("{n}"));
    }
    // Other tests of the process may log meanwhile.
    while deliver() {}
    let all: Vec<_> = got.try_iter().collect();
    let (level, words) = all.last().unwrap();
    assert_eq!(*level, Level::Warn);
    assert!(words.contains("were dropped"), "{words}");
    assert!(all.len() <= QUEUE_LEN + 1);
    set(None, Level::Error);
}

#[test]
fn control_characters_and_length_are_tamed() {
    assert_eq!(printable(format_args!("a\0b\nc\x1b[31m{}", "ü\u{2028}\u{202e}")), "a?b?c?[31mü??");
    let long = "ü".repeat(MESSAGE_LEN);
    let cut = printable(format_args!("{long}"));
    assert_eq!(cut.len(), MESSAGE_LEN);
}

#[test]
fn set_waits_for_a_call_that_runs() {
    let _one = alone();
    let (entered, has_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let may_leave = Mutex::new(may_leave);
    let slow: Sink = Box::new(move |record| {
        let target = record.target;
        if target == "test" {
            entered.send(in_log_callback()).unwrap();
            may_leave.lock().unwrap().recv().unwrap();
        }
    });
    set(Some(slow), Level::Error);
    error("test", format_args!("slow"));
    let delivering = std::thread::spawn(deliver);
    assert!(has_entered.recv().unwrap(), "the sink's thread knows that it is in a log callback");
    assert!(!in_log_callback());

    let (done, is_done) = mpsc::channel();
    let setting = std::thread::spawn(move || {
        set(None, Level::Error);
        done.send(()).unwrap();
    });
    assert!(is_done.recv_timeout(Duration::from_millis(50)).is_err(), "set returned while the old sink ran");
    leave.send(()).unwrap();
    is_done.recv_timeout(Duration::from_secs(20)).unwrap();
    setting.join().unwrap();
    delivering.join().unwrap();
}

#[test]
fn a_sink_that_unwinds_leaves_the_log_working() {
    let _one = alone();
    set(Some(Box::new(|record| assert_ne!(record.target, "test"))), Level::Error);
    error("test", format_args!("boom"));
    assert!(std::panic::catch_unwind(deliver).is_err());
    let (sink, got) = collector();
    set(Some(sink), Level::Error);
    error("test", format_args!("after"));
    deliver();
    assert_eq!(got.try_iter().count(), 1);
    set(None, Level::Error);
}
