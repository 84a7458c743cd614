// Command schema writes the models of Datadog's API client, which are generated from
// the published specification, as the table schema.json of package provision:
//
//	go run -C internal/provision/schema . >internal/provision/schema.json
//
// It is a module of its own, so that provision neither downloads nor compiles the
// models.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV1"
	"github.com/google/uuid"
)

// models are the types of the table, by name. A model is a map from the names of its
// fields to their types; ! marks a required field. A list names the models that a value
// may have. A map with one list, enum, has the values of an enumeration.
var models = map[string]any{}

func main() {
	for _, t := range []reflect.Type{
		reflect.TypeFor[datadogV1.Dashboard](), reflect.TypeFor[datadogV1.Monitor](), reflect.TypeFor[datadogV1.ServiceLevelObjectiveRequest](),
	} {
		name(t)
	}
	text, err := json.MarshalIndent(models, "", " ")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(append(text, '\n'))
}

// name returns the table's name of a type, and adds what it stands for to models.
func name(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t == reflect.TypeFor[uuid.UUID]():
		return "string"
	case t.Kind() == reflect.Pointer:
		return name(t.Elem())
	case t.Kind() == reflect.Slice:
		return "[]" + name(t.Elem())
	case t.Kind() == reflect.Map:
		return "map " + name(t.Elem())
	case t.Kind() == reflect.Interface:
		return "any"
	}
	if get, ok := t.MethodByName("Get"); ok && strings.HasPrefix(t.Name(), "Nullable") {
		return "?" + name(get.Type.Out(0).Elem())
	}
	if _, ok := models[t.Name()]; ok {
		return t.Name()
	}
	if allowed, ok := reflect.PointerTo(t).MethodByName("GetAllowedValues"); ok {
		models[t.Name()] = map[string]any{"enum": allowed.Func.Call([]reflect.Value{reflect.New(t)})[0].Interface()}
		return t.Name()
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	}
	fields := map[string]string{}
	models[t.Name()] = fields
	var one []string
	for i := range t.NumField() {
		f := t.Field(i)
		key, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Name == "UnparsedObject" || key == "-":
		case key == "":
			one = append(one, name(f.Type))
		case option == "":
			fields[key+"!"] = name(f.Type)
		default:
			fields[key] = name(f.Type)
		}
	}
	if len(one) > 0 {
		models[t.Name()] = one
	}
	return t.Name()
}
