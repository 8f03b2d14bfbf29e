//! Prints the layout of the binding, one "struct.field offset" or "struct size" a line. A test of Mayfly's compares it
//! with the C header.
#[path = "../mayfly.rs"]
mod mayfly;

use mayfly::{RawEvent, RawHandler, RawHost, RawModule, RawPair, RawStr};

macro_rules! layout {
    ($c_name:literal, $type:ty, $($field:ident),+) => {
        $(
            let value = std::mem::MaybeUninit::<$type>::uninit();
            let base = value.as_ptr();
            // Only an address is taken; nothing is read.
            let field = unsafe { std::ptr::addr_of!((*base).$field) };
            println!("{}.{} {}", $c_name, stringify!($field), field as usize - base as usize);
        )+
        println!("{} {}", $c_name, std::mem::size_of::<$type>());
    };
}

fn main() {
    layout!("mayfly_str", RawStr, data, size);
    layout!("mayfly_pair", RawPair, name, value);
    layout!(
        "mayfly_event", RawEvent, size, invocation_id, attempt, is_http, deadline_ns, id, source, type_, subject, time,
        data_content_type, attributes, attribute_count, method, path, query, headers, header_count, parameters,
        parameter_count, body, body_size
    );
    layout!(
        "mayfly_host", RawHost, size, abi_version, reserved, log, reply, add_header, begin, write, end, fail, set_error
    );
    layout!("mayfly_handler", RawHandler, size, name, flags, reserved, create, after_fork, handle, destroy);
    layout!("mayfly_module", RawModule, size, abi_version, handler_count, handlers);
    println!("MAYFLY_ABI_VERSION {}", mayfly::ABI_VERSION);
}
