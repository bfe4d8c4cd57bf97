"""The command line: parse, call one method of the lake, show its report. It holds no logic of its own."""
