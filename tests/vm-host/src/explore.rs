//! One life, lived again with every fault at every place.

use crate::run::{Run, Saved};
use crate::state::{CallAnswer, Fault, Made, State};
use crate::step::Step;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use wasmi::Module;

/// Every status of the ABI, those the SDK does not know among them, and one that no host defines.
pub const STATUSES: [u32; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99];

/// Those that a host may answer for long.
const LASTING: [u32; 5] = [1, 2, 8, 10, 12];

/// Steps lived on after a fault, for what it leaves behind.
const AFTERMATH: usize = 12;

/// Where a host call is made: the callback, the call, and what it is about, numbers left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The callback.
    pub callback: &'static str,
    /// The host call.
    pub name: &'static str,
    /// The header, property, key or metric.
    pub about: String,
}

/// What was tried.
#[derive(Debug, Default)]
pub struct Report {
    /// Places where a host call is made.
    pub places: Vec<Place>,
    /// Lives lived.
    pub lives: usize,
    /// Host calls that were made in any of them.
    pub called: BTreeSet<&'static str>,
}

fn place(made: &Made) -> Place {
    Place {
        callback: made.callback,
        name: made.name,
        about: made.about.chars().filter(|c| !c.is_ascii_digit()).collect(),
    }
}

/// What a call that gives bytes may give instead of what belongs there.
fn garbage() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        vec![0xff],
        vec![0; 8],
        vec![0xff; 64],
        (0..=255).cycle().take(1000).collect(),
    ]
}

/// The calls to break: for each place the first and the last one.
fn calls_to_break(calls: &[Made]) -> Vec<usize> {
    let mut by_place: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
    for (at, made) in calls.iter().enumerate() {
        by_place.entry(place(made)).or_default().push(at);
    }
    let mut chosen: Vec<usize> = by_place
        .values()
        .flat_map(|at| {
            let mut some: Vec<usize> = at.first().into_iter().chain(at.last()).copied().collect();
            some.dedup();
            some
        })
        .collect();
    chosen.sort_unstable();
    chosen
}

/// Lives a life, and then again with each fault: at each place, each status and each garbage, once and from then on. `judge`
/// sees each of them after its aftermath. With `every` above 1 only each so manieth of these lives is lived: still one or more
/// at each place, and by turns with each status, as long as it is a prime below the number of answers.
///
/// # Panics
/// When a life without any fault traps, and with `judge`.
pub fn explore(
    module: &Module,
    state: State,
    life: &[Step],
    every: usize,
    judge: impl Fn(&Run, Option<&Fault>) + Sync,
) -> Report {
    let mut run = Run::new(module, state).expect("no fault, no trap");
    let mut saved: Vec<(usize, Saved)> = Vec::new();
    for step in life {
        saved.push((run.vm.state().calls.len(), run.save()));
        run.step(step)
            .unwrap_or_else(|trap| panic!("without a fault: {trap:?} at {step:?}"));
    }
    judge(&run, None);
    let calls = &run.vm.state().calls;
    let first = saved.first().map_or(0, |(calls, _)| *calls);
    let mut faults = Vec::new();
    for call in calls_to_break(calls).into_iter().filter(|at| *at >= first) {
        let mut answers: Vec<_> = STATUSES.map(CallAnswer::Status).to_vec();
        if calls[call].gives {
            answers.extend(garbage().into_iter().map(CallAnswer::Bytes));
        }
        for (answer, lasting) in answers.iter().flat_map(|a| [(a, false), (a, true)]) {
            let endless = calls[call].name == "proxy_dequeue_shared_queue";
            if endless && lasting && matches!(answer, CallAnswer::Bytes(_)) {
                // No host has a queue without end, and nobody could empty it.
                continue;
            }
            if lasting && matches!(answer, CallAnswer::Status(status) if !LASTING.contains(status))
            {
                continue;
            }
            let answer = answer.clone();
            faults.push(Fault {
                call,
                answer,
                lasting,
            });
        }
    }
    let faults: Vec<Fault> = faults.into_iter().step_by(every).collect();
    let called = Mutex::new(calls.iter().map(|made| made.name).collect::<BTreeSet<_>>());
    let live = |fault: &Fault| {
        let step = saved.partition_point(|(calls, _)| *calls <= fault.call) - 1;
        let mut run = Run::resume(module, &saved[step].1);
        run.vm.state_mut().fault = Some(fault.clone());
        for step in life.iter().skip(step).take(1 + AFTERMATH) {
            if let Err(trap) = run.step(step) {
                panic!(
                    "{trap:?} at {step:?} after {fault:?} of {:?}",
                    calls[fault.call]
                );
            }
        }
        if let Err(trap) = run.wait_out() {
            panic!(
                "{trap:?} in the end after {fault:?} of {:?}",
                calls[fault.call]
            );
        }
        let made = run.vm.state().calls.iter().map(|made| made.name);
        called
            .lock()
            .expect("no panic while it is held")
            .extend(made);
        judge(&run, Some(fault));
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for part in 0..threads {
            let (faults, live) = (&faults, &live);
            scope.spawn(move || faults.iter().skip(part).step_by(threads).for_each(live));
        }
    });
    let mut places: Vec<Place> = calls.iter().map(place).collect();
    places.sort();
    places.dedup();
    Report {
        places,
        lives: faults.len(),
        called: called.into_inner().expect("no panic while it was held"),
    }
}
