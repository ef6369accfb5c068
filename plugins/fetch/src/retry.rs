//! How long to pause before another attempt.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::options::{Backoff, FetchOptions};

/// When a request is made again.
pub(crate) struct Retry {
    retries: u32,
    all: bool,
    backoff: Backoff,
    chance: RandomState,
}

impl Retry {
    pub(crate) fn new(options: &FetchOptions) -> Self {
        Self {
            retries: options.retries,
            all: options.retry_all,
            backoff: options.backoff,
            chance: RandomState::new(),
        }
    }

    /// Whether another attempt may follow attempt number `attempt` (from 1).
    pub(crate) fn allows(&self, method: &Method, attempt: u32) -> bool {
        attempt <= self.retries && (self.all || is_idempotent(method))
    }

    /// The pause after attempt number `attempt`, of the request for `url`.
    pub(crate) fn pause(&self, url: &str, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = self.backoff.initial.0.saturating_mul(factor).min(self.backoff.max.0);
        // At least half of it, so that a pause is one.
        let chance = self.chance.hash_one((url, attempt)) as f64 / u64::MAX as f64;
        pause.mul_f64(0.5 + chance / 2.0)
    }

    /// The pause that the server asks for, if it does.
    pub(crate) fn asked(&self, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let pause = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let until = httpdate::parse_http_date(text).ok()?;
                until.duration_since(now).unwrap_or_default()
            }
        };
        Some(pause.min(self.backoff.max_retry_after.0))
    }
}

/// Whether a request of this method may be made twice without harm.
fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

/// Whether an answer of this status is worth another attempt.
pub(crate) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let retry = Retry::new(&FetchOptions::default());
        let mut longest = 0.2;
        for attempt in 1..100 {
            let pause = retry.pause("http://x/", attempt).as_secs_f64();
            assert!((longest / 2.0..=longest).contains(&pause), "{attempt}: {pause}");
            longest = f64::min(longest * 2.0, 30.0);
        }
        let others = (0..20).map(|n| retry.pause(&format!("http://x/{n}"), 1));
        let different: std::collections::BTreeSet<Duration> = others.collect();
        assert!(different.len() > 10, "pauses differ by chance: {different:?}");
    }

    #[test]
    fn the_server_may_ask_for_a_pause() {
        let retry = Retry::new(&FetchOptions::default());
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, seconds) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("99999", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 07:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry.asked(&headers, now), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry.asked(&HeaderMap::new(), now), None);
    }

    #[test]
    fn only_harmless_methods_are_repeated() {
        let mut options = FetchOptions::default();
        let retry = Retry::new(&options);
        assert!(retry.allows(&Method::GET, 2) && retry.allows(&Method::PUT, 1));
        assert!(!retry.allows(&Method::GET, 3) && !retry.allows(&Method::POST, 1));
        options.retry_all = true;
        assert!(Retry::new(&options).allows(&Method::POST, 1));
    }
}
