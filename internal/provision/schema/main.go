// Command schema writes the models of Datadog's API client, which are generated from
// the published specification, as the table schema.json of package provision:
//
//	go run ./internal/provision/schema >internal/provision/schema.json
//
// It reads the models' source. To compile them takes a minute and 1.3 GB.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// client is the module of the models. Its newest version knows what the API can do today.
const client = "github.com/DataDog/datadog-api-client-go/v2@v2.67.0"

// models are the types of the table, by name. A model is a map from the names of its
// fields to their types; ! marks a required field. A list names the models that a value
// may have. A map with one list, enum, has the values of an enumeration.
var models = map[string]any{}

// types are the declarations of the client's types, and values those of its constants
// and of the lists of allowed ones.
var (
	types  = map[string]ast.Expr{}
	values = map[string]ast.Expr{}
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

func write() error {
	text, err := exec.Command("go", "mod", "download", "-json", client).Output()
	if err != nil {
		return fmt.Errorf("go mod download %s: %w: %s", client, err, text)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(text, &module); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(module.Dir, "api", "datadogV1", "*.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := read(file); err != nil {
			return err
		}
	}
	for _, model := range []string{"Dashboard", "Monitor", "ServiceLevelObjectiveRequest"} {
		named(model)
	}
	text, err = json.MarshalIndent(models, "", " ")
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

// read keeps the types and values that a file declares.
func read(file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range parsed.Decls {
		general, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				types[s.Name.Name] = s.Type
			case *ast.ValueSpec:
				for i, value := range s.Values {
					values[s.Names[i].Name] = value
				}
			}
		}
	}
	return nil
}

// basic are the table's names of Go's types and of those that stand for a text.
var basic = map[string]string{
	"string": "string", "bool": "boolean", "int32": "integer", "int64": "integer", "float64": "number",
	"time.Time": "time", "uuid.UUID": "string",
	"datadog.NullableString": "?string", "datadog.NullableBool": "?boolean", "datadog.NullableTime": "?time",
	"datadog.NullableInt32": "?integer", "datadog.NullableInt64": "?integer", "datadog.NullableFloat64": "?number",
}

// name returns the table's name of a type, and adds its model to models.
func name(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return name(t.X)
	case *ast.ArrayType:
		return "[]" + name(t.Elt)
	case *ast.MapType:
		return "map " + name(t.Value)
	case *ast.InterfaceType:
		return "any"
	case *ast.IndexExpr: // datadog.NullableList[…]
		return "?[]" + name(t.Index)
	case *ast.SelectorExpr:
		if name, ok := basic[t.X.(*ast.Ident).Name+"."+t.Sel.Name]; ok {
			return name
		}
	case *ast.Ident:
		return named(t.Name)
	}
	panic(fmt.Sprintf("unknown type %v", t))
}

// named is name of a type of the package or of Go.
func named(model string) string {
	if name, ok := basic[model]; ok {
		return name
	}
	if of, ok := strings.CutPrefix(model, "Nullable"); ok {
		return "?" + named(of)
	}
	if _, ok := models[model]; ok {
		return model
	}
	if allowed, ok := values["allowed"+model+"EnumValues"]; ok {
		var enum []any
		for _, constant := range allowed.(*ast.CompositeLit).Elts {
			enum = append(enum, literal(values[constant.(*ast.Ident).Name].(*ast.BasicLit)))
		}
		models[model] = map[string]any{"enum": enum}
		return model
	}
	declared, ok := types[model].(*ast.StructType)
	if !ok {
		return name(types[model]) // such as a text of a type of its own
	}
	fields := map[string]string{}
	models[model] = fields
	var one []string
	for _, f := range declared.Fields.List {
		var tag reflect.StructTag
		if f.Tag != nil {
			tag = reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		}
		key, option, _ := strings.Cut(tag.Get("json"), ",")
		switch {
		case f.Names[0].Name == "UnparsedObject" || key == "-":
		case key == "":
			one = append(one, name(f.Type))
		case option == "":
			fields[key+"!"] = name(f.Type)
		default:
			fields[key] = name(f.Type)
		}
	}
	if len(one) > 0 {
		models[model] = one
	}
	return model
}

// literal returns the value of a constant: a text or a number.
func literal(l *ast.BasicLit) any {
	if l.Kind == token.STRING {
		text, _ := strconv.Unquote(l.Value) // the parser accepted it
		return text
	}
	return json.Number(l.Value)
}
