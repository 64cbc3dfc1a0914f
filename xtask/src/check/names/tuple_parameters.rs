//! Finds the parameters of functions that are tuples, in any form: a tuple pattern, or a type that is a tuple
//! or a reference to one.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{FnArg, Pat, Signature, Type};

/// A function and the line of one of its tuple parameters.
pub(super) struct TupleParameter {
    pub(super) line: usize,
    pub(super) function: String,
}

/// Returns the tuple parameters in a Rust source. A source that cannot be parsed has none; the compiler
/// refuses it.
pub(super) fn find_tuple_parameters(text: &str) -> Vec<TupleParameter> {
    let mut finder = TupleParameterFinder { found: Vec::new() };
    if let Ok(file) = syn::parse_file(text) {
        finder.visit_file(&file);
    }
    finder.found
}

struct TupleParameterFinder {
    found: Vec<TupleParameter>,
}

impl<'ast> Visit<'ast> for TupleParameterFinder {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        for argument in &signature.inputs {
            let FnArg::Typed(parameter) = argument else { continue };
            if is_tuple_pattern(&parameter.pat) || is_tuple_type(&parameter.ty) {
                let span: Span = signature.ident.span();
                let function = signature.ident.to_string();
                self.found.push(TupleParameter { line: span.start().line, function });
            }
        }
        visit::visit_signature(self, signature);
    }
}

fn is_tuple_pattern(pattern: &Pat) -> bool {
    if let Pat::Reference(reference) = pattern {
        is_tuple_pattern(&reference.pat)
    } else if let Pat::Paren(inner) = pattern {
        is_tuple_pattern(&inner.pat)
    } else {
        matches!(pattern, Pat::Tuple(_))
    }
}

fn is_tuple_type(parameter_type: &Type) -> bool {
    if let Type::Reference(reference) = parameter_type {
        is_tuple_type(&reference.elem)
    } else if let Type::Paren(inner) = parameter_type {
        is_tuple_type(&inner.elem)
    } else if let Type::Group(inner) = parameter_type {
        is_tuple_type(&inner.elem)
    } else {
        matches!(parameter_type, Type::Tuple(tuple) if tuple.elems.len() > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::find_tuple_parameters;

    #[test]
    fn finds_tuple_parameters_in_each_form() {
        let text = "fn one((a, b): (u8, u8)) {}\nfn two(\n    (a, b): Pair,\n    pair: &mut (u8, Vec<u8>),\n) {}\n\
                    impl A { fn three(&self, pair: (u8, u8)) {} }\ntrait B { fn four(pair: &(u8, u8)); }\n";
        let found: Vec<String> = find_tuple_parameters(text)
            .iter()
            .map(|found| format!("{} {}", found.line, found.function))
            .collect();
        assert_eq!(found, ["1 one", "2 two", "2 two", "6 three", "7 four"]);
        for other in [
            "fn single((a): (u8)) {}",
            "fn unit(a: ()) {}",
            "fn list(a: &[(u8, u8)], b: Vec<(u8, u8)>, c: impl Fn((u8, u8))) {}",
            "fn body() { let (a, b): (u8, u8) = c; }",
            "/// As fn other((a, b): (u8, u8)) {}\nfn documented() {}",
            "fn broken(",
        ] {
            assert_eq!(find_tuple_parameters(other).len(), 0, "{other}");
        }
    }
}
