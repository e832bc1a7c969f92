//! The demonstration as its user runs it: real pieces around the loopback broker, a balanced account, and nothing left
//! behind however it ends.

mod demo;
mod processes;

use std::time::Duration;

use harness::wait_until;
use nix::sys::signal::Signal;

use demo::{Demo, Ending};
use processes::Processes;

/// Far more than processes need to end, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the last line of a balanced account begins with.
const BALANCED: &str = "nothing is lost: ";

/// As `Demo::start`, up to the first line of numbers: then all pieces run. `None` where libsolclient is missing.
fn running(options: &[&str]) -> anyhow::Result<Option<(Demo, Processes)>> {
    if harness::paths::solclient().is_none() {
        println!("skipped: there is no libsolclient; run scripts/fetch-solclient.sh");
        return Ok(None);
    }
    let mut demo = Demo::start(options, &[])?;
    demo.read_until(begins_with_time)?;
    let started = Processes::below(demo.pid())?;
    for name in ["postgres", "smf-loopback", "cdc-bridge run", "cdc-bridge generate"] {
        assert!(started.find(name).is_some(), "no {name} among {started:?}");
    }
    Ok(Some((demo, started)))
}

/// Whether it is a line of numbers: they begin with the time since publishing began, as in `0:04`.
fn begins_with_time(line: &str) -> bool {
    let time = line.split_whitespace().next().and_then(|word| word.split_once(':'));
    time.is_some_and(|(minutes, seconds)| [minutes, seconds].iter().all(|part| part.parse::<u32>().is_ok()))
}

/// The number in the account's line of this name.
fn accounted(ending: &Ending, name: &str) -> Option<u64> {
    // Titles of the columns come first, and have no number there.
    let numbers = ending.output.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then_some(words.next()?.replace(',', "").parse().ok()?)
    });
    numbers.last()
}

fn assert_ended_well(ending: &Ending, started: &Processes) {
    assert!(ending.status.success(), "{}\n{}\n{}", ending.status, ending.output, ending.errors);
    let last = ending.output.lines().last().unwrap_or_default();
    assert!(last.starts_with(BALANCED), "{}", ending.output);
    assert!(started.alive().is_empty(), "left running: {:?}", started.alive());
    assert!(ending.left.iter().all(|name| name.starts_with("template-")), "left behind: {:?}", ending.left);
}

fn assert_a_signal_ends_it_well(signal: Signal) -> anyhow::Result<()> {
    let Some((demo, started)) = running(&["--rate", "60000"])? else { return Ok(()) };
    demo.signal(signal)?;
    assert_ended_well(&demo.wait()?, &started);
    Ok(())
}

#[test]
fn a_short_run_balances_its_account_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let options = ["--rate", "60000", "--duration", "5", "--seed", "1"];
    let Some((demo, started)) = running(&options)? else { return Ok(()) };
    let ending = demo.wait()?;
    assert_ended_well(&ending, &started);
    assert!(ending.output.contains("public.cdc_orders\n"), "{}", ending.output);
    for name in ["enriched", "alerts"] {
        assert!(accounted(&ending, name) > Some(0), "no {name}: {}", ending.output);
    }
    assert_eq!(accounted(&ending, "differences"), Some(0), "{}", ending.output);
    assert!(!ending.output.contains('\x1b'), "escape codes in a pipe: {:?}", ending.output);
    let longest = ending.output.lines().filter(|line| !line.starts_with("look inside")).map(str::len).max();
    assert!(longest < Some(80), "{}", ending.output);
    Ok(())
}

#[test]
fn ctrl_c_ends_it_well() -> anyhow::Result<()> {
    assert_a_signal_ends_it_well(Signal::SIGINT)
}

#[test]
fn sigterm_ends_it_well() -> anyhow::Result<()> {
    assert_a_signal_ends_it_well(Signal::SIGTERM)
}

#[test]
fn a_hangup_ends_it_well() -> anyhow::Result<()> {
    assert_a_signal_ends_it_well(Signal::SIGHUP)
}

#[tokio::test]
async fn what_it_started_dies_with_it() -> anyhow::Result<()> {
    let Some((demo, started)) = running(&[])? else { return Ok(()) };
    demo.signal(Signal::SIGKILL)?;
    assert!(!demo.wait()?.status.success());
    wait_until(PATIENCE, "the processes of a killed demonstration end", async || {
        Ok(started.alive().is_empty().then_some(()))
    })
    .await
}

#[test]
fn the_death_of_a_piece_ends_it_with_one_clear_line() -> anyhow::Result<()> {
    let Some((demo, started)) = running(&[])? else { return Ok(()) };
    started.kill("cdc-bridge generate")?;
    let ending = demo.wait()?;
    assert_eq!(ending.status.code(), Some(1), "{}", ending.output);
    let last = ending.errors.lines().last().unwrap_or_default();
    let expected = "error: a piece of the pipeline has ended by itself; start the demonstration again: \
                    generator has ended: signal: 9 (SIGKILL)";
    assert!(last.starts_with(expected), "{}", ending.errors);
    assert!(started.alive().is_empty(), "left running: {:?}", started.alive());
    Ok(())
}

#[test]
fn without_libsolclient_one_line_says_what_to_do() -> anyhow::Result<()> {
    let ending =
        Demo::start(&[], &[(harness::paths::SOLCLIENT_VARIABLE, "/nowhere/libsolclient.so")])?.wait()?;
    assert_eq!(ending.status.code(), Some(1), "{}", ending.output);
    assert_eq!(ending.errors.lines().count(), 1, "{}", ending.errors);
    assert!(ending.errors.starts_with("error: there is no libsolclient"), "{}", ending.errors);
    assert!(ending.errors.contains("make setup"), "{}", ending.errors);
    Ok(())
}
