//! Where the picture goes: redrawn on a terminal, or line by line to a file or pipe.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::screen::{LINE_TITLES, View};

/// Time between two lines where nothing can be redrawn: enough to follow, few enough to read later. A little less than
/// five pictures take, so that the fifth is a line though it comes early.
const LINE_INTERVAL: Duration = Duration::from_millis(4_500);

/// Switch to the terminal's second screen and hide the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";

/// The reverse of [`ENTER`]: what was on the terminal before is there again.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

const CLEAR_REST_OF_SCREEN: &str = "\x1b[J";

/// Standard output.
#[derive(Debug)]
pub(crate) enum Display {
    /// A terminal that is redrawn; left as it was when this goes out of scope.
    Terminal,
    /// Anything else: no escape codes.
    Lines {
        /// When the last line was written.
        last: Option<Instant>,
    },
}

impl Display {
    /// Chooses by what standard output is.
    ///
    /// # Errors
    /// If it cannot be written to.
    pub(crate) fn open() -> io::Result<Self> {
        let dumb = env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        if dumb || !io::stdout().is_terminal() {
            return Ok(Self::Lines { last: None });
        }
        write_out(ENTER)?;
        Ok(Self::Terminal)
    }

    /// Shows the moment; where lines are written, only if it is time for one.
    ///
    /// # Errors
    /// If standard output is gone.
    pub(crate) fn show(&mut self, view: &View<'_>) -> io::Result<()> {
        match self {
            Self::Terminal => write_out(&redrawn(&view.screen())),
            Self::Lines { last } => {
                if last.is_some_and(|last| last.elapsed() < LINE_INTERVAL) {
                    return Ok(());
                }
                let titles = if last.is_none() { format!("{LINE_TITLES}\n") } else { String::new() };
                *last = Some(Instant::now());
                write_out(&format!("{titles}{}\n", view.line()))
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if matches!(self, Self::Terminal) {
            // A terminal that is gone needs nothing.
            let _ = write_out(LEAVE);
        }
    }
}

/// Puts each line at its place, so that a low terminal does not scroll. What was there is cleared before a line is
/// written, so that a long last one may wrap.
fn redrawn(lines: &[String]) -> String {
    let placed = lines.iter().enumerate();
    placed.map(|(index, line)| format!("\x1b[{};1H{CLEAR_REST_OF_SCREEN}{line}", index + 1)).collect()
}

fn write_out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_placed_and_what_was_there_is_cleared() {
        let lines = ["one".to_owned(), String::new()];
        assert_eq!(redrawn(&lines), "\x1b[1;1H\x1b[Jone\x1b[2;1H\x1b[J");
    }
}
