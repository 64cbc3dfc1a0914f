//! Lists, for each language, the kinds of nodes that define a name.

/// Kind of node that defines a name.
#[derive(Debug)]
pub(crate) struct DefinitionKind {
    /// Name of the kind of node in the grammar.
    pub(super) node_kind: &'static str,
    /// Field of the node, by its name in the grammar. The field contains the defined name.
    pub(super) name_field: &'static str,
    /// True for variables. A variable's definition inside a function is ignored.
    pub(super) is_variable: bool,
}

const fn definition_kind(node: &'static str) -> DefinitionKind {
    DefinitionKind { node_kind: node, name_field: "name", is_variable: false }
}

const fn variable_kind(node: &'static str, name: &'static str) -> DefinitionKind {
    DefinitionKind { node_kind: node, name_field: name, is_variable: true }
}

pub(super) const PYTHON: &[DefinitionKind] = &[
    definition_kind("function_definition"),
    definition_kind("class_definition"),
    variable_kind("assignment", "left"),
];

/// Node kinds that define names in JavaScript, TypeScript, JSX and TSX. A grammar that lacks one of these
/// kinds never produces a node of that kind.
pub(super) const JAVASCRIPT: &[DefinitionKind] = &[
    definition_kind("function_declaration"),
    definition_kind("generator_function_declaration"),
    definition_kind("function_signature"),
    definition_kind("class_declaration"),
    definition_kind("abstract_class_declaration"),
    definition_kind("method_definition"),
    definition_kind("method_signature"),
    definition_kind("abstract_method_signature"),
    definition_kind("public_field_definition"),
    DefinitionKind { node_kind: "field_definition", name_field: "property", is_variable: false },
    definition_kind("interface_declaration"),
    definition_kind("type_alias_declaration"),
    definition_kind("enum_declaration"),
    definition_kind("internal_module"),
    definition_kind("module"),
    variable_kind("variable_declarator", "name"),
];

pub(super) const RUST: &[DefinitionKind] = &[
    definition_kind("function_item"),
    definition_kind("function_signature_item"),
    definition_kind("struct_item"),
    definition_kind("enum_item"),
    definition_kind("enum_variant"),
    definition_kind("field_declaration"),
    definition_kind("union_item"),
    definition_kind("trait_item"),
    definition_kind("type_item"),
    definition_kind("associated_type"),
    definition_kind("const_item"),
    definition_kind("static_item"),
    definition_kind("mod_item"),
    definition_kind("macro_definition"),
];

pub(super) const GO: &[DefinitionKind] = &[
    definition_kind("function_declaration"),
    definition_kind("method_declaration"),
    definition_kind("method_elem"),
    definition_kind("field_declaration"),
    definition_kind("type_spec"),
    definition_kind("type_alias"),
    variable_kind("const_spec", "name"),
    variable_kind("var_spec", "name"),
];

pub(super) const JAVA: &[DefinitionKind] = &[
    definition_kind("class_declaration"),
    definition_kind("interface_declaration"),
    definition_kind("enum_declaration"),
    definition_kind("enum_constant"),
    definition_kind("record_declaration"),
    definition_kind("annotation_type_declaration"),
    definition_kind("method_declaration"),
    definition_kind("constructor_declaration"),
    variable_kind("variable_declarator", "name"),
];
