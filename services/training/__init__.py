"""Skill: courses with seats, enrolments, assessments, certificates."""
