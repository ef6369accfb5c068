//! Sends, and tries again what may get through later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::health::Health;
use crate::poster::{Poster, Trouble};

/// The first pause before something is tried again; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// But not longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What has not got through after this time is given up: what is newer waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// When the run is over: the time until which something may be sent.
pub(crate) type Closing = watch::Receiver<Option<Instant>>;

/// A way to the collector for one signal.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    poster: Poster,
    place: Arc<str>,
    health: Arc<Health>,
}

impl Sender {
    pub(crate) fn new(poster: Poster, health: Arc<Health>) -> Self {
        let place = poster.place().into();
        Self { poster, place, health }
    }

    /// Sends once.
    pub(crate) async fn once(&self, body: Vec<u8>) -> Result<(), Trouble> {
        match self.poster.post(body).await {
            Ok(refused) => {
                self.health.well(&self.place);
                if let Some((count, why)) = refused {
                    tracing::debug!("{} has refused {count}: {why}", self.place);
                }
                Ok(())
            }
            Err(trouble) => {
                self.health.ill(&self.place, &trouble.words);
                Err(trouble)
            }
        }
    }

    /// Sends, and tries again for a while what may get through later. True when it got through; false at
    /// once when the run is over meanwhile.
    pub(crate) async fn patiently(&self, body: &[u8], closing: &mut Closing) -> bool {
        let until = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let sent = tokio::select! {
                sent = self.once(body.to_vec()) => sent,
                _ = closing.wait_for(Option::is_some) => return false,
            };
            let Err(trouble) = sent else { return true };
            let wait = jittered(pause).max(trouble.after.unwrap_or_default());
            if !trouble.again || Instant::now() + wait > until {
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = closing.wait_for(Option::is_some) => return false,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends for the last time: until then, if the collector was there before, and else once.
    pub(crate) async fn at_last(&self, body: &[u8], until: Instant) -> bool {
        let once = self.health.is_failing();
        let mut pause = FIRST_PAUSE / 4;
        loop {
            match tokio::time::timeout_at(until, self.once(body.to_vec())).await {
                Ok(Ok(())) => return true,
                Ok(Err(trouble)) => {
                    let wait = jittered(pause).max(trouble.after.unwrap_or_default());
                    if once || !trouble.again || Instant::now() + wait > until {
                        return false;
                    }
                    tokio::time::sleep(wait).await;
                    pause *= 2;
                }
                Err(_) => {
                    self.health.ill(&self.place, "it does not answer in time, and the run is over");
                    return false;
                }
            }
        }
    }
}

/// Not all runs that have lost a collector should come back to it at the same moment.
fn jittered(pause: Duration) -> Duration {
    let chance = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
    pause.mul_f64(0.75 + chance / 2.0)
}
