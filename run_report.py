"""Write what the assignment asks to hand in, from the runs on disk: tables, pictures, β, pairs."""

from codebase.command import script
from codebase.runs.flags import report_parser


def main():
    args = report_parser(__doc__).parse_args()

    from codebase.report.contents import write

    write(args)


if __name__ == "__main__":
    script(main)
