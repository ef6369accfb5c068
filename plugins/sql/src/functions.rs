//! The functions that an expression can use.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::DataType;
use datafusion_common::config::ConfigOptions;
use datafusion_common::{TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};

use crate::aggregate::ApproxTopK;
use crate::capped::capped;

/// All functions of DataFusion by name and by alias, and `approx_top_k`; there are no tables.
pub(crate) struct Functions {
    scalar: BTreeMap<String, Arc<ScalarUDF>>,
    aggregate: BTreeMap<String, Arc<AggregateUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    options: ConfigOptions,
}

impl Functions {
    pub(crate) fn new() -> Self {
        let mut scalar = BTreeMap::new();
        let nested = datafusion_functions_nested::all_default_nested_functions();
        for function in datafusion_functions::all_default_functions().into_iter().chain(nested) {
            // They tell of files that DataFusion itself reads.
            if ["file_row_index", "input_file_name"].contains(&function.name()) {
                continue;
            }
            let function = capped(function);
            for alias in function.aliases() {
                scalar.insert(alias.to_lowercase(), Arc::clone(&function));
            }
            scalar.insert(function.name().to_lowercase(), function);
        }
        let mut aggregate = BTreeMap::new();
        let own = Arc::new(AggregateUDF::new_from_impl(ApproxTopK::new()));
        let theirs = datafusion_functions_aggregate::all_default_aggregate_functions();
        for function in theirs.into_iter().chain([own]) {
            // It tells grouping sets apart, which there are none of.
            if function.name() == "grouping" {
                continue;
            }
            for alias in function.aliases() {
                aggregate.insert(alias.to_lowercase(), Arc::clone(&function));
            }
            aggregate.insert(function.name().to_lowercase(), function);
        }
        let planners: Vec<Arc<dyn ExprPlanner>> = vec![
            Arc::new(datafusion_functions::core::planner::CoreFunctionPlanner::default()),
            Arc::new(datafusion_functions_nested::planner::NestedFunctionPlanner),
            Arc::new(datafusion_functions_nested::planner::FieldAccessPlanner),
            Arc::new(datafusion_functions::datetime::planner::DatetimeFunctionPlanner),
            Arc::new(datafusion_functions::unicode::planner::UnicodeFunctionPlanner),
            Arc::new(datafusion_functions_aggregate::planner::AggregateFunctionPlanner),
        ];
        Self { scalar, aggregate, planners, options: ConfigOptions::default() }
    }

    /// The functions on single rows, those with several names more than once.
    pub(crate) fn scalars(&self) -> impl Iterator<Item = &ScalarUDF> {
        self.scalar.values().map(AsRef::as_ref)
    }

    /// The aggregate functions, those with several names more than once.
    pub(crate) fn aggregates(&self) -> impl Iterator<Item = &AggregateUDF> {
        self.aggregate.values().map(AsRef::as_ref)
    }

    /// Whether there is a function of this name, written in lower case.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.scalar.contains_key(name) || self.aggregate.contains_key(name)
    }

    /// The function whose name is nearest to `name`, if one is near enough to be meant.
    pub(crate) fn nearest(&self, name: &str) -> Option<&str> {
        let names = self.scalar.keys().chain(self.aggregate.keys());
        names
            .map(|known| (strsim::jaro_winkler(known, name), known.as_str()))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known)
    }
}

impl ContextProvider for Functions {
    fn get_table_source(
        &self,
        name: TableReference,
    ) -> datafusion_common::Result<Arc<dyn TableSource>> {
        plan_err!("there is no table {name}")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalar.get(&name.to_lowercase()).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregate.get(&name.to_lowercase()).cloned()
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.scalar.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.aggregate.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
