//! `Debug` of a plan: like a derived one, without secrets.

use std::fmt;

use crate::plan::{Plan, StagePlan};

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[derive(Debug)]
        #[expect(dead_code, reason = "read by Debug only")]
        struct View<'a> {
            name: &'a str,
            stages: &'a [StagePlan],
            edges: &'a [crate::EdgePlan],
            pools: &'a [crate::PoolPlan],
            rejected: &'a crate::RejectedPlan,
            warnings: &'a [String],
        }
        let Self { name, stages, edges, pools, rejected, secrets, warnings, .. } = self;
        let view = View { name, stages, edges, pools, rejected, warnings };
        let text = if f.alternate() { format!("{view:#?}") } else { format!("{view:?}") };
        // The name of the type is that of the view.
        let text = text.strip_prefix("View").unwrap_or(&text);
        write!(f, "Plan{}", secrets.redact(text))
    }
}

impl fmt::Debug for StagePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A stage does not know the secrets of its plan, so what may hold one is left out: the
        // options, the files, the notes.
        f.debug_struct("StagePlan")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("role", &self.role)
            .field("mode", &self.mode)
            .field("workers", &self.workers)
            .field("pool", &self.pool)
            .field("process", &self.process)
            .field("ordered", &self.ordered)
            .field("input", &self.input)
            .field("output", &self.output)
            .field("ports", &self.ports)
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .field("batch", &self.batch)
            .field("holds", &self.holds)
            .finish_non_exhaustive()
    }
}
