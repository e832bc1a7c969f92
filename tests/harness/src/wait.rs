//! Waiting for what sends no event.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Time between two looks: short beside what is waited for, long beside a look.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks again and again until `condition` gives a value, and returns it.
///
/// # Errors
/// The condition's own, or after `timeout` one that names `what`.
pub async fn wait_until<T>(
    timeout: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("not within {timeout:?}: {what}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_returns_the_first_value() {
        let mut looks = 0;
        let third = wait_until(Duration::from_secs(10), "a third look", async || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(third.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_timeout_says_what_did_not_happen() {
        let never = wait_until(Duration::ZERO, "pigs fly", async || Ok(None::<()>));
        assert_eq!(never.await.unwrap_err().to_string(), "not within 0ns: pigs fly");
    }

    #[tokio::test]
    async fn an_error_of_the_condition_ends_the_waiting() {
        let broken = wait_until(Duration::from_secs(10), "a look", async || -> anyhow::Result<Option<()>> {
            bail!("cannot look")
        });
        assert_eq!(broken.await.unwrap_err().to_string(), "cannot look");
    }
}
