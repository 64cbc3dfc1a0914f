//! Kinds of nodes that name something, by language.

/// Kind of node that names something.
#[derive(Debug)]
pub(crate) struct DefinitionKind {
    /// Name of the kind in the grammar.
    pub(super) node: &'static str,
    /// Name of the field with the name.
    pub(super) name: &'static str,
    /// True if definitions of this kind within a function are ignored, as those of variables are.
    pub(super) is_variable: bool,
}

const fn of(node: &'static str) -> DefinitionKind {
    DefinitionKind { node, name: "name", is_variable: false }
}

const fn variable(node: &'static str, name: &'static str) -> DefinitionKind {
    DefinitionKind { node, name, is_variable: true }
}

pub(super) const PYTHON: &[DefinitionKind] =
    &[of("function_definition"), of("class_definition"), variable("assignment", "left")];

/// Kinds of JavaScript, TypeScript and both with markup. A grammar without some of these has no such nodes.
pub(super) const SCRIPT: &[DefinitionKind] = &[
    of("function_declaration"),
    of("generator_function_declaration"),
    of("function_signature"),
    of("class_declaration"),
    of("abstract_class_declaration"),
    of("method_definition"),
    of("method_signature"),
    of("abstract_method_signature"),
    of("public_field_definition"),
    DefinitionKind { node: "field_definition", name: "property", is_variable: false },
    of("interface_declaration"),
    of("type_alias_declaration"),
    of("enum_declaration"),
    of("internal_module"),
    of("module"),
    variable("variable_declarator", "name"),
];

pub(super) const RUST: &[DefinitionKind] = &[
    of("function_item"),
    of("function_signature_item"),
    of("struct_item"),
    of("enum_item"),
    of("enum_variant"),
    of("field_declaration"),
    of("union_item"),
    of("trait_item"),
    of("type_item"),
    of("associated_type"),
    of("const_item"),
    of("static_item"),
    of("mod_item"),
    of("macro_definition"),
];

pub(super) const GO: &[DefinitionKind] = &[
    of("function_declaration"),
    of("method_declaration"),
    of("method_elem"),
    of("field_declaration"),
    of("type_spec"),
    of("type_alias"),
    variable("const_spec", "name"),
    variable("var_spec", "name"),
];

pub(super) const JAVA: &[DefinitionKind] = &[
    of("class_declaration"),
    of("interface_declaration"),
    of("enum_declaration"),
    of("enum_constant"),
    of("record_declaration"),
    of("annotation_type_declaration"),
    of("method_declaration"),
    of("constructor_declaration"),
    variable("variable_declarator", "name"),
];
