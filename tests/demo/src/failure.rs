//! What is said when the demonstration fails: logs first, and one clear line at the end.

use std::fmt::Write as _;

/// The text for standard error. Of each error in the chain the first line goes into the last line of the text; what
/// follows it, which is the end of some log, comes before.
pub(crate) fn report(error: &anyhow::Error) -> String {
    let (mut line, mut logs) = ("error".to_owned(), String::new());
    for cause in error.chain().map(ToString::to_string) {
        let (first, log) = cause.split_once('\n').unwrap_or((&cause, ""));
        // Writing to a String cannot fail.
        let _ = write!(line, ": {first}");
        if !log.trim().is_empty() {
            let _ = writeln!(logs, "{}", log.trim_end());
        }
    }
    if !logs.is_empty() {
        line.push_str(" (its log is above)");
    }
    logs + &line + "\n"
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn causes_are_one_line_from_the_outermost_on() {
        let error = anyhow!("connection refused").context("cannot reach the broker").context("run it again");
        assert_eq!(report(&error), "error: run it again: cannot reach the broker: connection refused\n");
    }

    #[test]
    fn logs_come_before_the_line() {
        let error =
            anyhow!("generator has ended: exit status: 1\nWARN slow\nno room\n").context("run it again");
        let expected = "WARN slow\nno room\nerror: run it again: generator has ended: exit status: 1 (its log is above)\n";
        assert_eq!(report(&error), expected);
    }

    #[test]
    fn an_empty_log_is_not_announced() {
        assert_eq!(report(&anyhow!("bridge has ended: signal: 9\n")), "error: bridge has ended: signal: 9\n");
    }
}
