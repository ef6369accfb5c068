//! How a worker takes its next batch: with a ticket when its stage keeps the order.

use crate::edge::{Inlet, Taken};
use crate::turns::{Ticket, Turns};

/// Takes the next batch, with a ticket when the stage keeps its order. The end takes one, too: what
/// a worker puts out when it finishes comes after all batches.
pub(crate) fn take<'t>(
    inlet: &mut Inlet,
    turns: Option<&'t Turns>,
    ticket: &mut Option<Ticket<'t>>,
) -> Taken {
    let Some(turns) = turns else { return inlet.take() };
    let issued = turns.issue(|| match inlet.take() {
        Taken::Empty => None,
        taken => Some(taken),
    });
    match issued {
        None => Taken::Empty,
        Some((taken, new)) => {
            *ticket = Some(new);
            taken
        }
    }
}

/// Waits for the next batch, or the end of the input; for ever if there is no input.
pub(crate) async fn receive<'t>(
    inlet: Option<&mut Inlet>,
    turns: Option<&'t Turns>,
    ticket: &mut Option<Ticket<'t>>,
) -> Taken {
    let Some(inlet) = inlet else { return std::future::pending().await };
    loop {
        let listener = inlet.listen();
        match take(inlet, turns, ticket) {
            Taken::Empty => listener.await,
            taken => return taken,
        }
    }
}
