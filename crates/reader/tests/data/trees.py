# Functions of Python's standard library as JSON lines: text, and a digest of the tree without docstrings. Each as
# it is written, as `ast.unparse` writes it, and as that writes it with one thing changed.
import ast
import copy
import hashlib
import json
import pathlib
import random
import sys
import sysconfig
import textwrap
import unicodedata

COUNT = int(sys.argv[1])
chance = random.Random(2026)


class Plain(ast.NodeTransformer):
    """A tree without what a text may have and a program does not."""

    def body(self, node):
        self.generic_visit(node)
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = body

    def visit_Constant(self, node):
        node.kind = None
        return node


def told(text):
    tree = ast.parse(text)
    if len(tree.body) != 1 or not isinstance(tree.body[0], (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    dump = ast.dump(Plain().visit(copy.deepcopy(tree)))
    return {"text": text, "tree": hashlib.sha256(dump.encode()).hexdigest()}


def changed(tree):
    """Changes one node of a tree; false: there is nothing that could be."""
    nodes = [node for node in ast.walk(tree) if not isinstance(node, (ast.Load, ast.Store, ast.arguments))]
    chance.shuffle(nodes)
    for node in nodes:
        match node:
            case ast.Constant(value=bool()):
                node.value = not node.value
            case ast.Constant(value=int()):
                node.value = chance.choice([node.value + 1, float(min(node.value, 2**40)), str(node.value)])
            case ast.Constant(value=str()):
                node.value = chance.choice([node.value + "x", "{" + node.value + "}", "\\" + node.value, ()])
            case ast.Constant(value=bytes()):
                node.value = chance.choice([node.value + b"b", "b:" + node.value.decode("latin1")])
            case ast.FormattedValue():
                if chance.random() < 0.5:
                    node.conversion = -1 if node.conversion != -1 else ord("r")
                else:
                    text = ast.Constant(value=chance.choice([".2f", ".3f", " >10"]))
                    node.format_spec = ast.JoinedStr(values=[text])
            case ast.BinOp():
                node.op = chance.choice([ast.Add(), ast.Sub(), ast.Mult(), ast.FloorDiv(), ast.MatMult()])
            case ast.Compare():
                node.ops[0] = chance.choice([ast.Is(), ast.IsNot(), ast.In(), ast.NotIn(), ast.Lt(), ast.LtE()])
            case ast.BoolOp():
                node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
            case ast.UnaryOp():
                node.op = chance.choice([ast.Not(), ast.USub(), ast.Invert()])
            case ast.Attribute():
                node.attr += "_"
            case ast.Name():
                node.id += "_"
            case ast.ImportFrom():
                node.level += 1
            case ast.Call() if node.args:
                if chance.random() < 0.5:
                    node.args[0] = ast.Starred(value=node.args[0], ctx=ast.Load())
                else:
                    node.args = [ast.Tuple(elts=node.args, ctx=ast.Load())]
            case ast.Tuple(ctx=ast.Load()):
                node.elts = node.elts[:1]
            case ast.List(ctx=ast.Load()) if node.elts:
                node.elts = []
            case ast.Slice():
                node.lower, node.upper = node.upper, node.lower
            case ast.If() if not node.orelse:
                node.orelse = [ast.Pass()]
            case ast.Return() if node.value:
                node.value = ast.Tuple(elts=[node.value], ctx=ast.Load())
            case ast.comprehension():
                node.ifs.append(ast.Constant(value=True))
            case _:
                continue
        return True
    return False


def main():
    folder = pathlib.Path(sysconfig.get_path("stdlib"))
    files = sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)
    chance.shuffle(files)
    left = COUNT
    for path in files:
        try:
            source = path.read_text()
            tree = ast.parse(source)
        except (UnicodeDecodeError, SyntaxError, ValueError):
            continue
        lines = source.splitlines(keepends=True)
        functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        for node in chance.sample(functions, min(len(functions), 12)):
            first = min([node.lineno] + [decorator.lineno for decorator in node.decorator_list])
            own = textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
            # Names in other forms of the same letters are the same to Python alone.
            if unicodedata.normalize("NFKC", own) != own:
                continue
            try:
                known = told(own)
            except SyntaxError:
                continue
            if known is None:
                continue
            left -= 1
            print(json.dumps(known))
            inner = ast.parse(own)
            print(json.dumps(told(ast.unparse(inner))))
            for _ in range(3):
                other = copy.deepcopy(inner)
                if not changed(other):
                    break
                try:
                    print(json.dumps(told(ast.unparse(ast.fix_missing_locations(other)))))
                except (SyntaxError, ValueError):
                    continue
            if left == 0:
                return


main()
