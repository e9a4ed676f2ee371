#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seawall_parsers::shared_data(bytes));
