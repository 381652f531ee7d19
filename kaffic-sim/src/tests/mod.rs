//! Tests of the simulation itself: that its faults are real, that a seed is a run, and that it
//! notices what it is there to notice.

mod determinism;
mod fairness;
mod fork;
mod groups;
mod mutations;
mod toy;
