using System.Collections.Immutable;
using CloudShards.Formats;

namespace CloudShards.Cli;

/// <summary>
/// Tensors by module: the parts of their names between dots, in the order in which the checkpoint first has them. A module that holds one
/// thing only is written together with it, as in <c>q_proj.weight</c>.
/// </summary>
internal sealed class ModuleTree
{
    // Real names have about ten parts; names made to have thousands, each another, would take more memory and more output than the file has bytes.
    private const int MaxDepth = 16;
    private const int MaxModules = 1 << 18;

    private readonly Module _root = new("");
    private readonly Dictionary<(Module Parent, string Name), Module> _modules = [];

    private ModuleTree()
    {
    }

    /// <summary>The tree of a checkpoint's tensors.</summary>
    public static ModuleTree Of(ImmutableArray<TensorInfo> tensors)
    {
        var tree = new ModuleTree();
        for (var i = 0; i < tensors.Length; i++)
        {
            tree.Add(i, tensors[i]);
        }

        return tree;
    }

    /// <summary>The tree's lines, from the top.</summary>
    public IEnumerable<TreeRow> Rows()
    {
        var open = new Stack<IEnumerator<Node>>();
        open.Push(_root.Children.GetEnumerator());
        while (open.TryPeek(out var siblings))
        {
            if (!siblings.MoveNext())
            {
                open.Pop();
                continue;
            }

            var (depth, node) = (open.Count - 1, siblings.Current);
            var label = Printable.Name(node.Name);
            while (node is Module { Children: [var only] })
            {
                label += $".{Printable.Name(only.Name)}";
                node = only;
            }

            yield return new(depth, label, (node as Leaf)?.Tensor, node.Tensors, node.Bytes);
            if (node is Module module)
            {
                open.Push(module.Children.GetEnumerator());
            }
        }
    }

    private void Add(int index, TensorInfo tensor)
    {
        var (module, start) = (_root, 0);
        for (var depth = 1; depth < MaxDepth && tensor.Name.IndexOf('.', start) is >= 0 and var dot; depth++)
        {
            var name = tensor.Name[start..dot];
            if (!_modules.TryGetValue((module, name), out var child))
            {
                if (_modules.Count == MaxModules)
                {
                    break;
                }

                child = new(name);
                _modules.Add((module, name), child);
                module.Children.Add(child);
            }

            child.Tensors++;
            child.Bytes += tensor.Bytes;
            (module, start) = (child, dot + 1);
        }

        module.Children.Add(new Leaf(tensor.Name[start..], index, tensor.Bytes));
    }

    private abstract class Node(string name)
    {
        public string Name { get; } = name;

        public int Tensors { get; set; }

        public Int128 Bytes { get; set; }
    }

    private sealed class Module(string name) : Node(name)
    {
        public List<Node> Children { get; } = [];
    }

    private sealed class Leaf : Node
    {
        public Leaf(string name, int tensor, long bytes)
            : base(name) => (Tensor, Tensors, Bytes) = (tensor, 1, bytes);

        public int Tensor { get; }
    }
}

/// <summary>A line of the tree: a tensor, or a module and what is in it.</summary>
/// <param name="Depth">Modules around it.</param>
/// <param name="Label">Its name within them, safe to print.</param>
/// <param name="Tensor">The tensor's index; null for a module.</param>
/// <param name="Tensors">Number of tensors in it.</param>
/// <param name="Bytes">Their bytes.</param>
internal readonly record struct TreeRow(int Depth, string Label, int? Tensor, int Tensors, Int128 Bytes);
