//! A module in its VM, driven callback by callback.

use crate::imports;
use crate::state::State;
use wasmi::{Config, Engine, Instance, Linker, Memory, Module, Store, Val};

/// More instructions in one callback are an endless loop.
const MOST_FUEL: u64 = 2_000_000_000;

/// A module that trapped, and where.
#[derive(Debug)]
pub struct Trap {
    /// The callback it happened in.
    pub callback: &'static str,
    /// The interpreter's words, and the last line of the log.
    pub reason: String,
}

/// A module in its VM.
pub struct Vm {
    store: Store<State>,
    instance: Instance,
    spent: Spent,
}

/// What a module has cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Exports called by the host.
    pub callbacks: u64,
    /// The fuel that the interpreter charged for instructions and copies.
    pub fuel: u64,
}

/// A VM between two callbacks: its memory and its host. A module has no other state there, for its stack is empty.
#[derive(Clone)]
pub struct Snapshot {
    memory: Vec<u8>,
    /// The host's side.
    pub state: State,
}

/// An interpreter that counts instructions, so that a loop without end is found.
pub fn engine() -> Engine {
    let mut config = Config::default();
    config.consume_fuel(true);
    Engine::new(&config)
}

impl Vm {
    fn instantiate(module: &Module, state: State) -> Result<Self, Trap> {
        let mut store = Store::new(module.engine(), state);
        store.set_fuel(MOST_FUEL).expect("the engine counts fuel");
        let mut linker = Linker::new(module.engine());
        imports::define(&mut linker);
        let instance = linker
            .instantiate_and_start(&mut store, module)
            .map_err(|error| Trap {
                callback: "instantiation",
                reason: error.to_string(),
            })?;
        Ok(Vm {
            store,
            instance,
            spent: Spent::default(),
        })
    }

    /// Instantiates a module over a host in this state and runs its initialiser.
    ///
    /// # Errors
    /// When it traps.
    pub fn start(module: &Module, state: State) -> Result<Self, Trap> {
        let mut vm = Vm::instantiate(module, state)?;
        vm.call("_initialize", &[])?;
        Ok(vm)
    }

    fn memory(&self) -> Memory {
        self.instance
            .get_memory(&self.store, "memory")
            .expect("a module exports its memory")
    }

    /// What there is to go on from.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            memory: self.memory().data(&self.store).to_vec(),
            state: self.store.data().clone(),
        }
    }

    /// Another VM that goes on from there.
    pub fn resume(module: &Module, snapshot: &Snapshot) -> Self {
        let mut vm =
            Vm::instantiate(module, snapshot.state.clone()).expect("it was instantiated before");
        let memory = vm.memory();
        let missing = snapshot.memory.len() - memory.data_size(&vm.store);
        memory
            .grow(&mut vm.store, (missing / (64 * 1024)) as u64)
            .expect("it had as much before");
        memory
            .data_mut(&mut vm.store)
            .copy_from_slice(&snapshot.memory);
        vm
    }

    /// Calls an export, if the module has it; its integer result, or zero.
    ///
    /// # Errors
    /// When it traps.
    pub fn call(&mut self, name: &'static str, arguments: &[u32]) -> Result<u32, Trap> {
        let Some(function) = self.instance.get_func(&self.store, name) else {
            return Ok(0);
        };
        self.store
            .set_fuel(MOST_FUEL)
            .expect("the engine counts fuel");
        self.store.data_mut().callback = name;
        let results = function.ty(&self.store).results().len();
        let arguments: Vec<Val> = arguments
            .iter()
            .map(|value| Val::I32(*value as i32))
            .collect();
        let mut returned = vec![Val::I32(0); results];
        function
            .call(&mut self.store, &arguments, &mut returned)
            .map_err(|error| Trap {
                callback: name,
                reason: format!("{error}, last logged {:?}", self.store.data().log.last()),
            })?;
        let left = self.store.get_fuel().expect("the engine counts fuel");
        self.spent.callbacks += 1;
        self.spent.fuel += MOST_FUEL - left;
        Ok(match returned.first() {
            Some(Val::I32(value)) => *value as u32,
            _ => 0,
        })
    }

    /// What it has cost so far.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Whether the module has this export.
    pub fn has(&self, name: &str) -> bool {
        self.instance.get_func(&self.store, name).is_some()
    }

    /// The host's side.
    pub fn state(&self) -> &State {
        self.store.data()
    }

    /// The host's side, to change it between callbacks.
    pub fn state_mut(&mut self) -> &mut State {
        self.store.data_mut()
    }

    /// Bytes of its memory.
    pub fn memory_size(&self) -> usize {
        self.memory().data_size(&self.store)
    }
}
