//! Which answer comes next.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::answer::Answer;
use crate::record::Request;

type Rule = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// Answers for the next requests, and a rule for those after them.
pub(crate) struct Plan {
    steps: Mutex<Steps>,
}

struct Steps {
    next: VecDeque<Answer>,
    rule: Rule,
}

impl Default for Plan {
    fn default() -> Self {
        let rule: Rule = Arc::new(|_| Answer::default());
        Self { steps: Mutex::new(Steps { next: VecDeque::new(), rule }) }
    }
}

impl Plan {
    /// These answers come next, after those planned before.
    pub(crate) fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        self.steps().next.extend(answers);
    }

    /// From now on, answers come from this rule.
    pub(crate) fn replace(&self, rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        let mut steps = self.steps();
        steps.next.clear();
        steps.rule = Arc::new(rule);
    }

    /// The answer to this request.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let rule = {
            let mut steps = self.steps();
            if let Some(answer) = steps.next.pop_front() {
                return answer;
            }
            Arc::clone(&steps.rule)
        };
        rule(request)
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("next", &self.steps().next).finish_non_exhaustive()
    }
}
