//! Every order in which several workers' accesses to shared data can follow one another.
//!
//! Workers are run as threads that take turns at each access ([`Steps::wait`]), by a schedule; [`schedules`] runs a scenario
//! once for every schedule. Small scenarios only: three workers with three accesses each have 1,680.

use std::sync::{Arc, Condvar, Mutex};

/// The turn-taking of one run.
#[derive(Debug, Clone)]
pub struct Steps(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug)]
struct State {
    /// Choices that are prescribed, then those that were made: index among the runnable workers, and how many there were.
    plan: Vec<usize>,
    made: Vec<(usize, usize)>,
    waiting: Vec<bool>,
    done: Vec<bool>,
    turn: Option<usize>,
}

impl Steps {
    fn new(workers: usize, plan: Vec<usize>) -> Self {
        let state = State {
            plan,
            made: Vec::new(),
            waiting: vec![false; workers],
            done: vec![false; workers],
            turn: None,
        };
        Steps(Arc::new((Mutex::new(state), Condvar::new())))
    }

    /// Called by a worker before each access: returns when it is its turn.
    pub fn wait(&self, worker: usize) {
        let (lock, changed) = &*self.0;
        let mut state = lock.lock().unwrap();
        state.waiting[worker] = true;
        if state.turn == Some(worker) {
            state.turn = None;
        }
        state.choose();
        changed.notify_all();
        while state.turn != Some(worker) {
            state = changed.wait(state).unwrap();
        }
        state.waiting[worker] = false;
    }

    fn finish(&self, worker: usize) {
        let (lock, changed) = &*self.0;
        let mut state = lock.lock().unwrap();
        state.done[worker] = true;
        if state.turn == Some(worker) {
            state.turn = None;
        }
        state.choose();
        changed.notify_all();
    }
}

impl State {
    /// Gives the turn to somebody, once every worker waits or is done.
    fn choose(&mut self) {
        let settled = self
            .waiting
            .iter()
            .zip(&self.done)
            .all(|(waiting, done)| *waiting || *done);
        if self.turn.is_some() || !settled {
            return;
        }
        let runnable: Vec<usize> = (0..self.done.len())
            .filter(|worker| self.waiting[*worker] && !self.done[*worker])
            .collect();
        if runnable.is_empty() {
            return;
        }
        let choice = self.plan.get(self.made.len()).copied().unwrap_or(0);
        self.made.push((choice, runnable.len()));
        self.turn = Some(runnable[choice]);
    }
}

/// Runs a scenario once per schedule. `scenario` makes the workers of one run, which call [`Steps::wait`] with their
/// number before each shared access, and returns a check to be made at the end. Returns the number of schedules.
pub fn schedules<C: FnOnce()>(
    mut scenario: impl FnMut(&Steps) -> (Vec<Box<dyn FnOnce() + Send>>, C),
    workers: usize,
) -> usize {
    let mut plan = Vec::new();
    let mut runs = 0;
    loop {
        let steps = Steps::new(workers, plan.clone());
        let (threads, check) = scenario(&steps);
        assert_eq!(threads.len(), workers);
        std::thread::scope(|scope| {
            for (worker, body) in threads.into_iter().enumerate() {
                let steps = steps.clone();
                scope.spawn(move || {
                    body();
                    steps.finish(worker);
                });
            }
        });
        check();
        runs += 1;
        let mut made = steps.0 .0.lock().unwrap().made.clone();
        // The next schedule: the last choice that can still be another one.
        while let Some((choice, of)) = made.pop() {
            if choice + 1 < of {
                made.push((choice + 1, of));
                break;
            }
        }
        if made.is_empty() {
            return runs;
        }
        plan = made.into_iter().map(|(choice, _)| choice).collect();
    }
}
