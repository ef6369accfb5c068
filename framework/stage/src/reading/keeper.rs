//! Readings of a stage on one side of a border, kept on the other.

use std::fmt::Debug;

/// Keeps the readings of a stage for it, as a run does for the stages of a plugin. Calls come from any
/// thread.
pub trait Keeper: Debug + Send + Sync {
    /// The number by which the other calls know a reading, or one value of its label; none where
    /// nobody keeps it.
    fn number(&self, name: &str, value: Option<&str>) -> Option<u64>;
    /// See [`Readout::add`](super::Readout::add).
    fn add(&self, number: u64, more: u64);
    /// See [`Readout::set`](super::Readout::set).
    fn set(&self, number: u64, value: f64);
    /// See [`Readout::change`](super::Readout::change).
    fn change(&self, number: u64, by: f64);
    /// See [`Readout::record`](super::Readout::record).
    fn record(&self, number: u64, value: f64);
}
