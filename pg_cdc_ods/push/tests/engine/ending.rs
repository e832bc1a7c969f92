//! The end of an engine, wanted or not.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::time::Duration;

use cdc_push::{
    AddressPolicy, EndpointOptions, Engine, EngineOptions, Fate, Outcome, Postponement, SubmitError, WakeupFd,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rest_receiver::{Answer, Gate, Receiver};

use crate::owner::{Owner, PATIENCE, delivery, keyed, receiver, shop};

fn postponed(reason: Postponement) -> Fate {
    Fate::Postponed { after: Duration::ZERO, reason }
}

fn fates(outcomes: Vec<Outcome>) -> BTreeMap<i64, Fate> {
    outcomes.into_iter().map(|outcome| (outcome.id, outcome.fate)).collect()
}

/// An owner with a delivery that waits for its answer, and one that waits behind it.
fn busy_owner(receiver: &Receiver) -> Owner {
    let mut owner = Owner::new(vec![shop(receiver, EndpointOptions::default())]);
    owner.submit([keyed(1, "a"), keyed(2, "a")]);
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 1).unwrap();
    owner
}

#[test]
fn a_request_under_way_is_waited_for_and_what_waits_is_given_back() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_always(Answer::status(200).behind(&gate));
    let owner = busy_owner(&receiver);
    // Whether the gate opens before or after the shutdown begins does not matter to the first.
    let outcomes = std::thread::scope(|scope| {
        let ending = scope.spawn(move || owner.engine.shutdown(PATIENCE));
        gate.open();
        ending.join().unwrap()
    });
    let fates = fates(outcomes);
    assert_eq!(fates[&1], Fate::Delivered);
    assert!(fates[&2] == postponed(Postponement::ShuttingDown) || fates[&2] == Fate::Delivered, "{fates:?}");
}

#[test]
fn a_request_that_takes_longer_than_the_grace_is_given_up() {
    let receiver = receiver();
    receiver.answer_always(Answer::hang());
    let fates = fates(busy_owner(&receiver).engine.shutdown(Duration::ZERO));
    assert_eq!(fates[&1], postponed(Postponement::Interrupted));
    assert_eq!(fates[&2], postponed(Postponement::ShuttingDown));
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 0).unwrap();
}

#[test]
fn dropping_the_engine_ends_its_requests() {
    let receiver = receiver();
    receiver.answer_always(Answer::hang());
    drop(busy_owner(&receiver));
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 0).unwrap();
}

#[test]
fn a_panic_on_the_engines_thread_gives_everything_back_and_goes_no_further() {
    let receiver = receiver();
    let mut engine = Engine::start(EngineOptions::default(), || panic!("a wakeup of a test")).unwrap();
    engine.configure(vec![shop(&receiver, EndpointOptions::default())], AddressPolicy::default());
    engine.submit(delivery(1)).unwrap();
    while engine.is_running() {
        std::thread::yield_now();
    }
    let refused = engine.submit(delivery(2));
    assert_eq!(refused, Err(SubmitError::EngineFailed));
    let fates = fates(engine.shutdown(Duration::ZERO));
    assert_eq!(fates.len(), 1);
    // The outcome had been put down when the wakeup panicked.
    assert_eq!(fates[&1], Fate::Delivered);
}

#[test]
fn a_descriptor_wakes_the_owner() {
    let receiver = receiver();
    let (wakeup_fd, wakeup) = WakeupFd::new().unwrap();
    let mut engine = Engine::start(EngineOptions::default(), wakeup).unwrap();
    engine.configure(vec![shop(&receiver, EndpointOptions::default())], AddressPolicy::default());
    engine.submit(delivery(1)).unwrap();
    let mut polled = [PollFd::new(wakeup_fd.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut polled, patience), Ok(1));
    wakeup_fd.clear();
    assert_eq!(engine.outcomes()[0].fate, Fate::Delivered);
}

#[test]
fn the_engines_threads_take_no_signals_and_the_owners_mask_stays() {
    // A thread of another test may end at any moment.
    let blocked = |task: &str| {
        let status = fs::read_to_string(format!("/proc/self/task/{task}/status")).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        Some(u64::from_str_radix(mask.trim(), 16).unwrap())
    };
    let own = fs::read_link("/proc/thread-self").unwrap();
    let own = own.file_name().unwrap().to_str().unwrap().to_owned();
    let before = blocked(&own);
    let receiver = receiver();
    let mut owner = Owner::new(vec![shop(&receiver, EndpointOptions::default())]);
    assert_eq!(blocked(&own), before);
    // A thread that has begun its work has its name.
    owner.push(delivery(1));

    let is_engine = |task: &String| {
        fs::read_to_string(format!("/proc/self/task/{task}/comm")).is_ok_and(|name| name.trim() == "cdc-push")
    };
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let tasks = tasks.map(|task| task.unwrap().file_name().into_string().unwrap());
    let engines: Vec<String> = tasks.filter(is_engine).collect();
    let masks: Vec<u64> = engines.iter().filter_map(|engine| blocked(engine)).collect();
    assert!(!masks.is_empty());
    for signal in [nix::libc::SIGTERM, nix::libc::SIGUSR1, nix::libc::SIGALRM, nix::libc::SIGURG] {
        assert!(masks.iter().all(|mask| mask & (1 << (signal - 1)) != 0), "signal {signal}");
    }
}
